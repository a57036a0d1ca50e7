/** What swc makes of `await using` calls this by a name that it does not define. It says both why a test failed and why its tidying failed too. */
class BothErrors extends SuppressedError {
  constructor(error: unknown, suppressed: unknown) {
    super(error, suppressed, `${said(suppressed)}\nand then its tidying failed: ${said(error)}`);
  }
}

const said = (error: unknown) => (error instanceof Error ? error.stack : String(error));

Object.assign(globalThis, { _SuppressedError: BothErrors });
