/**
 * The brake on reroutes: one hijacked account times a few addresses a message would burn a whole /24 in minutes.
 * Two stores under one contract (test/contract): Redis, shared by all processes and hosts, and memory.
 */
import { all, lua, sharedOrOwn, type SharedRedis } from './redis';

export interface BudgetLimits {
    /** Reroutes allowed per first attempt, per provider over five minutes. */
    share: number;
    /** Reroutes a minute and provider that are always allowed. */
    floor: number;
    /** Reroutes an hour that one sender may cause. */
    perSender: number;
}

export type Taken = 'taken' | 'provider' | 'sender';

export interface BudgetStore {
    /** Counts a first attempt at a provider. */
    countFirst(provider: string): Promise<void>;
    /** Takes a reroute, or tells whose budget is spent. */
    take(provider: string, sender: string): Promise<Taken>;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const WINDOW_MINUTES = 5;

/** Name of the counter of first attempts of a minute. */
function firstsOf(provider: string, minute: number): string {
    return `first:${provider}:${minute}`;
}

/** The counters of a reroute: five minutes of first attempts, five of reroutes, the sender's hour. Names only. */
function counters(provider: string, sender: string, now: number) {
    const minutes = Array.from({ length: WINDOW_MINUTES }, (_, back) => Math.floor(now / MINUTE) - back);
    return {
        firsts: minutes.map(minute => firstsOf(provider, minute)),
        reroutes: minutes.map(minute => `reroute:${provider}:${minute}`),
        sender: `sender:${sender}:${Math.floor(now / HOUR)}`
    };
}

export class MemoryBudget implements BudgetStore {
    private readonly counts = new Map<string, { value: number; until: number }>();

    constructor(
        private readonly limits: BudgetLimits,
        private readonly now: () => number
    ) {}

    async countFirst(provider: string): Promise<void> {
        this.add(firstsOf(provider, Math.floor(this.now() / MINUTE)), (WINDOW_MINUTES + 1) * MINUTE);
    }

    async take(provider: string, sender: string): Promise<Taken> {
        const { share, floor, perSender } = this.limits;
        const keys = counters(provider, sender, this.now());
        if (this.get(keys.sender) >= perSender) {
            return 'sender';
        }
        const sum = (names: string[]) => names.reduce((total, name) => total + this.get(name), 0);
        if (this.get(keys.reroutes[0] ?? '') >= floor && sum(keys.reroutes) >= share * sum(keys.firsts)) {
            return 'provider';
        }
        this.add(keys.reroutes[0] ?? '', (WINDOW_MINUTES + 1) * MINUTE);
        this.add(keys.sender, HOUR);
        return 'taken';
    }

    private get(name: string): number {
        const count = this.counts.get(name);
        return count && count.until > this.now() ? count.value : 0;
    }

    private add(name: string, ms: number): void {
        this.counts.set(name, { value: this.get(name) + 1, until: this.now() + ms });
        for (const [old, { until }] of this.counts) {
            if (until > this.now()) {
                break;
            }
            this.counts.delete(old);
        }
    }
}

export class RedisBudget implements BudgetStore {
    private readonly script = lua('takeReroute-11');

    /** @param redis a client that fails fast when Redis is away (lib/health/redis.ts) */
    constructor(
        private readonly redis: SharedRedis,
        private readonly keyPrefix: string,
        private readonly limits: BudgetLimits,
        private readonly now: () => number
    ) {}

    async countFirst(provider: string): Promise<void> {
        const key = this.key(firstsOf(provider, Math.floor(this.now() / MINUTE)));
        await all(
            this.redis
                .multi()
                .incr(key)
                .expire(key, ((WINDOW_MINUTES + 1) * MINUTE) / 1000)
        );
    }

    async take(provider: string, sender: string): Promise<Taken> {
        const { share, floor, perSender } = this.limits;
        const names = counters(provider, sender, this.now());
        const keys = [...names.firsts, ...names.reroutes, names.sender].map(name => this.key(name));
        const minuteTtl = ((WINDOW_MINUTES + 1) * MINUTE) / 1000;
        return (await this.redis.eval(this.script, keys.length, ...keys, share, floor, perSender, minuteTtl, HOUR / 1000)) as Taken;
    }

    /** One hash tag for all keys of the script (Redis Cluster). */
    private key(name: string): string {
        return `${this.keyPrefix}{budget}:${name}`;
    }
}

/** Redis while it answers, memory while it does not: mail goes on, and the brake too. */
export class FallbackBudget implements BudgetStore {
    constructor(
        private readonly shared: BudgetStore,
        private readonly own: BudgetStore,
        private readonly warn: (err: Error) => void
    ) {}

    countFirst(provider: string): Promise<void> {
        return this.either(store => store.countFirst(provider));
    }

    take(provider: string, sender: string): Promise<Taken> {
        return this.either(store => store.take(provider, sender));
    }

    private either<T>(call: (store: BudgetStore) => Promise<T>): Promise<T> {
        return sharedOrOwn(this.shared, this.own, this.warn, call);
    }
}
