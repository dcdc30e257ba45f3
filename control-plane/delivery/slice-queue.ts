// Runs many small tasks, so many to a turn of the event loop: a push to a thousand nodes leaves room for their acks.

export class SliceQueue {
  readonly #tasks: (() => void)[] = [];
  readonly #tasksPerTurn: number;
  #scheduled = false;

  constructor(tasksPerTurn: number) {
    this.#tasksPerTurn = tasksPerTurn;
  }

  /** A task must not throw. */
  add(task: () => void): void {
    this.#tasks.push(task);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const task of this.#tasks.splice(0, this.#tasksPerTurn)) task();
      if (this.#tasks.length > 0) this.#schedule();
    });
  }
}
