/**
 * The pool's memory as a process has it: a mirror of what is suspended, which the choice of an address reads without a round
 * trip, over the shared store.
 *
 * The mirror begins with a snapshot, follows the announcements, and takes a snapshot again now and then, for an announcement may
 * be lost. While Redis is away the process goes on with what it knows: it strikes, clears and probes in memory, and tells Redis
 * when that is back. A Redis that has come back empty is given what the processes still know.
 */
import type { MemoryHealth } from './memory-health';
import { Outcomes } from './outcomes';
import { sharedOrOwn } from './redis';
import { readChange, type RedisHealth } from './redis-health';
import { EVERYWHERE, type Change, type HealthStore, type Strike, type Success, type Suspension } from './suspension';
import type { HealthView, SuspensionTable } from './table';

const SNAPSHOT_EVERY = 30_000;
/** After a failure Redis is asked again so soon. */
const RETRY_AFTER = 1000;
/** After its return a snapshot is taken once more so soon. */
const SETTLE_AFTER = 3000;
/** Strikes and successes kept for Redis while it is away. */
const MAX_PENDING = 10_000;

type Told = (store: HealthStore) => Promise<Change[]>;

export interface PoolHealthOptions {
    table: SuspensionTable;
    own: MemoryHealth;
    /** Undefined: no Redis, the memory is this process's alone. */
    shared: RedisHealth | undefined;
    now: () => number;
    /** A mark for a Redis that has none yet. A new one each time: one that came back empty must not get the mark that it had. */
    mark: () => string;
    warn: (err: Error) => void;
}

export class PoolHealth {
    private readonly outcomes = new Outcomes();
    private pending: Told[] = [];
    /** Changes that came while a snapshot was on its way: they are newer. */
    private meanwhile: Change[] | undefined;
    private mark: string | undefined;
    private syncing: Promise<void> | undefined;
    private timer: NodeJS.Timeout | undefined;
    private retry: NodeJS.Timeout | undefined;
    /** Redis was, or has lost its data meanwhile. */
    private away = false;
    private stopped = false;

    constructor(private readonly options: PoolHealthOptions) {}

    /** Takes the first snapshot, and keeps taking them. */
    async start(): Promise<void> {
        await this.sync();
        this.timer = setInterval(() => void this.sync(), SNAPSHOT_EVERY);
        this.timer.unref();
    }

    stop(): void {
        this.stopped = true;
        clearInterval(this.timer);
        clearTimeout(this.retry);
    }

    /** How our addresses stand at a provider now. */
    view(provider: string): HealthView {
        return this.options.table.view(provider, this.options.now());
    }

    /** All that is suspended or half-open, as this process knows it. */
    list(): Suspension[] {
        return this.options.table.list(this.options.now());
    }

    /** What of these scopes is suspended or half-open at the provider, or everywhere. */
    find(provider: string, scopes: readonly string[]): Suspension[] {
        return [EVERYWHERE, provider].flatMap(name => this.options.table.find(name, scopes, this.options.now()));
    }

    /** Addresses that our own checks keep out everywhere. */
    checkedOut(): Suspension[] {
        return this.list().filter(suspension => suspension.provider === EVERYWHERE && suspension.class === 'check');
    }

    /** A delivery leaves from an address, or goes on from another one. */
    begin(delivery: string, provider: string, scopes: readonly string[]): void {
        this.outcomes.begin(delivery, { provider, scopes, since: this.options.now() });
    }

    /** It has ended, one way or another. */
    end(delivery: string): void {
        this.outcomes.end(delivery);
    }

    /** A refusal of this delivery that blames our address. Resolves with what is suspended for it. */
    strike(delivery: string, strike: Omit<Strike, 'accepted' | 'undecided' | 'now'>): Promise<Change[]> {
        const { provider, scopes } = strike;
        const now = this.options.now();
        this.outcomes.refuse(provider, scopes);
        const whole: Strike = { ...strike, accepted: this.outcomes.accepted(provider, scopes), undecided: this.outcomes.undecided(provider, scopes, delivery, now), now };
        return this.tell(store => store.strike(whole));
    }

    /** An accepted delivery. A round trip only when something covers its address. */
    async succeed(success: Omit<Success, 'now'>): Promise<Change[]> {
        const now = this.options.now();
        this.outcomes.accept(success.provider, success.scopes, now);
        return this.options.table.find(success.provider, success.scopes, now).length > 0 ? this.tell(store => store.succeed({ ...success, now })) : [];
    }

    /** May this delivery be the one probe of what covers its address? */
    async claimProbe(provider: string, scopes: readonly string[]): Promise<boolean> {
        const now = this.options.now();
        const changes = await this.either(store => store.claimProbe(provider, scopes, now));
        this.apply(changes ?? []);
        return changes !== undefined;
    }

    /** May this delivery go out although everything is suspended? */
    takeTurn(provider: string): Promise<boolean> {
        const now = this.options.now();
        return this.either(store => store.takeTurn(provider, now));
    }

    /**
     * Suspends by the operator's hand, or by our own checks.
     *
     * @throws Error when Redis does not take it: then it holds nowhere
     */
    async put(suspension: Suspension): Promise<void> {
        this.apply(await (this.options.shared ?? this.options.own).put(suspension));
    }

    /**
     * Ends a suspension.
     *
     * @throws Error when Redis does not take it: then it goes on everywhere
     */
    async lift(provider: string, scope: string): Promise<void> {
        this.apply(await (this.options.shared ?? this.options.own).lift(provider, scope));
    }

    /** What another process has announced. */
    hear(json: string): void {
        this.apply(readChange(json));
    }

    /** The channel is heard (again): what was announced before is lost, and a snapshot that is under way may lack it. Never rejects. */
    async listening(): Promise<void> {
        await this.syncing;
        await this.sync();
    }

    /** Tells Redis what was kept for it, and takes a snapshot. Never rejects. */
    sync(): Promise<void> {
        this.syncing ??= this.exchange()
            .then(() => this.settle())
            .catch((err: unknown) => this.failed(err as Error))
            .finally(() => {
                this.syncing = undefined;
                this.meanwhile = undefined;
            });
        return this.syncing;
    }

    private async exchange(): Promise<void> {
        const { shared, table, now, mark } = this.options;
        if (!shared) {
            // what is forgotten takes no room
            table.replace(table.list(now()));
            return;
        }
        const found = await shared.mark(mark());
        if (this.mark !== undefined && this.mark !== found) {
            this.away = true;
            await shared.merge(table.list(now()), now());
        }
        this.mark = found;
        while (this.pending[0]) {
            await this.pending[0](shared);
            this.pending.shift();
        }
        this.meanwhile = [];
        table.replace(await shared.snapshot(now()));
        table.apply(this.meanwhile);
    }

    /** In Redis; while it is away in memory, and kept for it. */
    private async tell(told: Told): Promise<Change[]> {
        const { shared, own } = this.options;
        if (shared) {
            try {
                const changes = await told(shared);
                this.apply(changes);
                return changes;
            } catch (err) {
                this.failed(err as Error);
                this.pending.push(told);
                this.pending = this.pending.slice(-MAX_PENDING);
            }
        }
        return told(own);
    }

    private either<T>(ask: (store: HealthStore) => Promise<T>): Promise<T> {
        return sharedOrOwn<HealthStore, T>(this.options.shared, this.options.own, err => this.failed(err), ask);
    }

    /** Redis is away, or slow: it is asked again until it is back, for it may have lost its data. */
    private failed(err: Error): void {
        this.options.warn(err);
        this.away = true;
        this.syncAfter(RETRY_AFTER);
    }

    /** Redis is back. Other processes tell it what they have learnt, maybe before this one listens again. */
    private settle(): void {
        if (this.away) {
            this.away = false;
            this.syncAfter(SETTLE_AFTER);
        }
    }

    private syncAfter(ms: number): void {
        clearTimeout(this.retry);
        if (!this.stopped) {
            this.retry = setTimeout(() => void this.sync(), ms).unref();
        }
    }

    private apply(changes: readonly Change[]): void {
        this.options.table.apply(changes);
        this.meanwhile?.push(...changes);
    }
}
