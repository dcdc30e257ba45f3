// Who changes something, as the audit log remembers it.

export interface Actor {
  /** `admin` for the holder of the admin key, `system` for what a control plane does by itself. */
  readonly name: string;
  readonly requestId: string;
  /** Where the request came from; empty for changes made inside. */
  readonly address: string;
}

export const systemActor: Actor = Object.freeze({ name: 'system', requestId: '', address: '' });
