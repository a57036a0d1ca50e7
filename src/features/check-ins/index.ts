import type { Feature } from '../feature.ts';
import { checkInsChecks } from './check-ins.checks.ts';
import {
  CheckInsResolver,
  DoorStatusResolver,
  ScannedTicketResolver,
  ScanResolver,
  WrongPerformanceErrorResolver,
} from './check-ins.resolver.ts';
import type { CheckInsService } from './check-ins.service.ts';

/** Letting people in at the doors, once for each ticket. */
export const checkIns: Feature = {
  name: 'check-ins',
  resolvers: [CheckInsResolver, ScannedTicketResolver, ScanResolver, DoorStatusResolver, WrongPerformanceErrorResolver],
  checks: checkInsChecks,
};

export const checkInsResolvers = (checkInsService: CheckInsService): object[] => [
  new CheckInsResolver(checkInsService),
  new ScannedTicketResolver(checkInsService),
];

export { registerCheckInsHttp } from './check-ins.http.ts';
export { CheckInsService } from './check-ins.service.ts';
export { type DoorStatus, doorStatuses, sameDoorStatus } from './live-doors.ts';
