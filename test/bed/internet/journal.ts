import { EventEmitter } from 'node:events';

/** Called for each new entry. */
type Listener<T> = (entry: T) => void;

/** What one of the fakes has seen, in order. Tests read it and wait on it: nobody polls. */
export class Journal<T> {
    readonly #entries: T[] = [];
    readonly #events = new EventEmitter().setMaxListeners(0);

    record(entry: T): void {
        this.#entries.push(entry);
        this.#events.emit('entry', entry);
    }

    /** All entries so far, or those that satisfy. */
    entries(filter?: (entry: T) => boolean): readonly T[] {
        return filter ? this.#entries.filter(filter) : [...this.#entries];
    }

    /** Calls the listener for every entry from now on; the returned function ends that. */
    onEntry(listener: Listener<T>): () => void {
        this.#events.on('entry', listener);
        return () => this.#events.off('entry', listener);
    }

    /** The first entry, past or to come, that satisfies; fails after `deadlineMs`, naming what was waited for. */
    async waitFor(satisfies: (entry: T) => boolean, deadlineMs: number, what = 'an entry'): Promise<T> {
        const seen = this.#entries.find(satisfies);
        if (seen !== undefined) {
            return seen;
        }
        let found: T | undefined;
        await this.#wait(
            entry => {
                found = satisfies(entry) ? entry : undefined;
                return found !== undefined;
            },
            deadlineMs,
            what
        );
        return found as T;
    }

    /** Resolves when the journal as a whole satisfies; it is asked now and after each entry. */
    async until(satisfies: (entries: readonly T[]) => boolean, deadlineMs: number, what = 'a state'): Promise<void> {
        if (!satisfies(this.#entries)) {
            await this.#wait(() => satisfies(this.#entries), deadlineMs, what);
        }
    }

    #wait(done: (entry: T) => boolean, deadlineMs: number, what: string): Promise<void> {
        return new Promise((resolve, reject) => {
            const settle = (settled: () => void) => {
                clearTimeout(deadline);
                stopListening();
                settled();
            };
            const deadline = setTimeout(() => {
                settle(() => reject(new Error(`waited ${deadlineMs} ms in vain for ${what}; ${this.#entries.length} entries seen`)));
            }, deadlineMs);
            const stopListening = this.onEntry(entry => {
                try {
                    if (done(entry)) {
                        settle(resolve);
                    }
                } catch (fault) {
                    // Thrown into the emitter it would end in the SMTP session that made the entry.
                    settle(() => reject(fault instanceof Error ? fault : new Error(String(fault))));
                }
            });
        });
    }
}
