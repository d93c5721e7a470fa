/**
 * The pace as a process has it: Redis while it answers; while it does not, the process's own part of the pace. It remembers which
 * addresses were full, so that they are not drawn again before they have a slot.
 */
import type { Full, PaceState, PaceStore, Slot, SlotRequest } from './pace';
import { sharedOrOwn } from './redis';

/** What is no longer full is forgotten so often, ms. */
const SWEEP_EVERY = 60_000;

export class PoolPace {
    private readonly full = new Map<string, Map<string, number>>();
    private swept = 0;

    /**
     * @param shared undefined: no Redis, the pace is this process's alone
     * @param own counts what this process sends while Redis is away
     */
    constructor(
        private readonly shared: PaceStore | undefined,
        private readonly own: PaceStore,
        private readonly now: () => number,
        private readonly warn: (err: Error) => void
    ) {}

    async ask(request: Omit<SlotRequest, 'now'>): Promise<Slot> {
        const now = this.now();
        const slot = await this.either(store => store.ask({ ...request, now }));
        this.remember(request.provider, slot.full);
        return slot;
    }

    /** Never rejects: a delivery that cannot be released is forgotten in time. */
    release(provider: string, address: string, delivery: string): Promise<void> {
        return this.either(store => store.release(provider, address, delivery));
    }

    lower(provider: string): Promise<number | undefined> {
        return this.either(store => store.lower(provider, this.now()));
    }

    states(): Promise<PaceState[]> {
        return this.either(store => store.states(this.now()));
    }

    /** Is this address known to have no slot now? It may have one taken by another process that this one does not know of. */
    isFull(provider: string, address: string): boolean {
        return this.now() < (this.full.get(provider)?.get(address) ?? 0);
    }

    private remember(provider: string, full: readonly Full[]): void {
        if (full.length === 0) {
            return;
        }
        this.sweep();
        const known = this.full.get(provider) ?? new Map<string, number>();
        full.forEach(({ address, until }) => known.set(address, until));
        this.full.set(provider, known);
    }

    private sweep(): void {
        const now = this.now();
        if (now - this.swept < SWEEP_EVERY) {
            return;
        }
        this.swept = now;
        for (const [provider, known] of this.full) {
            [...known].filter(([, until]) => until <= now).forEach(([address]) => known.delete(address));
            if (known.size === 0) {
                this.full.delete(provider);
            }
        }
    }

    private either<T>(ask: (store: PaceStore) => Promise<T>): Promise<T> {
        return sharedOrOwn(this.shared, this.own, this.warn, ask);
    }
}
