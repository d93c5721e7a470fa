/** The brake on reroutes: one contract, held by memory and by a real Redis; and what holds when Redis goes away. */
import { afterEach, describe, expect, it } from 'vitest';
import { FallbackBudget, MemoryBudget, RedisBudget, type BudgetLimits, type BudgetStore, type Taken } from '../../lib/health/budget';
import { failFast, type SharedRedis } from '../../lib/health/redis';
import { useRealCluster, useRealRedis } from './real-redis';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const redis = useRealRedis();
const cluster = useRealCluster();

/** A clock that stands still until it is moved; it starts with a whole hour. */
class Clock {
    ms = 500_000 * HOUR;
    now = () => this.ms;
}

let runs = 0;
const STORES: Record<string, (limits: BudgetLimits, now: () => number) => BudgetStore> = {
    memory: (limits, now) => new MemoryBudget(limits, now),
    Redis: (limits, now) => new RedisBudget(redis.client, `run${runs++}:`, limits, now),
    'a Redis Cluster': (limits, now) => new RedisBudget(cluster.client, `run${runs++}:`, limits, now)
};

async function takeMany(store: BudgetStore, times: number, provider = 'google', sender = 'author'): Promise<Record<Taken, number>> {
    const counts = { taken: 0, provider: 0, sender: 0 };
    for (let i = 0; i < times; i++) {
        counts[await store.take(provider, sender)]++;
    }
    return counts;
}

async function countMany(store: BudgetStore, times: number, provider = 'google'): Promise<void> {
    for (let i = 0; i < times; i++) {
        await store.countFirst(provider);
    }
}

const PLENTY = { share: 0.5, floor: 10, perSender: 1000 };

describe.each(Object.entries(STORES))('the reroute budget in %s', (_name, make) => {
    function world(limits: Partial<BudgetLimits> = {}) {
        const clock = new Clock();
        return { clock, store: make({ ...PLENTY, ...limits }, clock.now) };
    }

    it('allows the floor in each minute, whatever the traffic', async () => {
        const { store, clock } = world();
        expect(await takeMany(store, 15)).toEqual({ taken: 10, provider: 5, sender: 0 });
        clock.ms += MINUTE;
        expect(await takeMany(store, 15)).toEqual({ taken: 10, provider: 5, sender: 0 });
    });

    it('allows a share of the first attempts above the floor', async () => {
        const { store } = world();
        await countMany(store, 60);
        expect(await takeMany(store, 40)).toEqual({ taken: 30, provider: 10, sender: 0 });
        await countMany(store, 4);
        expect(await takeMany(store, 5)).toEqual({ taken: 2, provider: 3, sender: 0 });
    });

    it('looks back over five minutes', async () => {
        const { store, clock } = world({ floor: 1 });
        await countMany(store, 20);
        clock.ms += 4 * MINUTE;
        expect(await takeMany(store, 12)).toEqual({ taken: 10, provider: 2, sender: 0 });
        // the first attempts are out of the window now, the reroutes are not
        clock.ms += MINUTE;
        expect(await takeMany(store, 3)).toEqual({ taken: 1, provider: 2, sender: 0 });
    });

    it('gives what was rerouted back after five minutes', async () => {
        const { store, clock } = world({ floor: 0, share: 1 });
        await countMany(store, 2);
        expect(await takeMany(store, 3)).toEqual({ taken: 2, provider: 1, sender: 0 });
        clock.ms += 5 * MINUTE;
        await countMany(store, 1);
        expect(await takeMany(store, 3)).toEqual({ taken: 1, provider: 2, sender: 0 });
    });

    it('gives each sender his hour', async () => {
        const { store, clock } = world({ floor: 1000, perSender: 3 });
        expect(await takeMany(store, 5)).toEqual({ taken: 3, provider: 0, sender: 2 });
        expect(await takeMany(store, 5, 'google', 'another')).toEqual({ taken: 3, provider: 0, sender: 2 });
        // at any provider
        expect(await takeMany(store, 1, 'yahoo')).toEqual({ taken: 0, provider: 0, sender: 1 });
        clock.ms += HOUR - 1;
        expect(await takeMany(store, 1)).toEqual({ taken: 0, provider: 0, sender: 1 });
        clock.ms += 1;
        expect(await takeMany(store, 5)).toEqual({ taken: 3, provider: 0, sender: 2 });
    });

    it('does not charge the sender for what the provider had no budget for', async () => {
        const { store, clock } = world({ floor: 2, perSender: 4 });
        expect(await takeMany(store, 9)).toEqual({ taken: 2, provider: 7, sender: 0 });
        clock.ms += MINUTE;
        expect(await takeMany(store, 9)).toEqual({ taken: 2, provider: 0, sender: 7 });
    });

    it('keeps providers apart', async () => {
        const { store } = world();
        await countMany(store, 100, 'yahoo');
        expect(await takeMany(store, 15, 'google')).toEqual({ taken: 10, provider: 5, sender: 0 });
        expect(await takeMany(store, 15, 'yahoo')).toEqual({ taken: 15, provider: 0, sender: 0 });
    });

    it('with nothing allowed takes nothing', async () => {
        expect(await takeMany(world({ share: 0, floor: 0 }).store, 3)).toEqual({ taken: 0, provider: 3, sender: 0 });
        expect(await takeMany(world({ perSender: 0 }).store, 3)).toEqual({ taken: 0, provider: 0, sender: 3 });
    });

    it('is not overdrawn by many at once', async () => {
        const { store } = world();
        const answers = await Promise.all(Array.from({ length: 50 }, () => store.take('google', 'author')));
        expect(answers.filter(answer => answer === 'taken')).toHaveLength(10);
    });
});

describe('the reroute budget in Redis', () => {
    it('is one for all processes and hosts', async () => {
        const clock = new Clock();
        const [one, other] = [new RedisBudget(redis.client, 'shared:', PLENTY, clock.now), new RedisBudget(redis.client, 'shared:', PLENTY, clock.now)];
        expect(await takeMany(one, 6)).toMatchObject({ taken: 6 });
        expect(await takeMany(other, 6)).toMatchObject({ taken: 4, provider: 2 });
    });

    it('leaves nothing behind that does not expire, and all its keys share a hash tag', async () => {
        const store = new RedisBudget(redis.client, 'tidy:', PLENTY, new Clock().now);
        await store.countFirst('google');
        await store.take('google', 'author');
        const keys = await redis.client.keys('tidy:*');
        expect(keys).toHaveLength(3);
        for (const key of keys) {
            expect(key).toMatch(/^tidy:\{budget\}:/);
            expect(await redis.client.ttl(key)).toBeGreaterThan(0);
        }
    });
});

describe('when Redis goes away', () => {
    const SECOND = 1000;
    let own: SharedRedis | undefined;

    afterEach(() => {
        own?.disconnect();
        own = undefined;
    });

    /** A budget as a process has it, on a client that fails fast. */
    async function connected() {
        const { client: fast, ready } = failFast(redis.place);
        own = fast;
        await ready;
        const clock = new Clock();
        const warnings: string[] = [];
        const store = new FallbackBudget(new RedisBudget(fast, `away${runs++}:`, PLENTY, clock.now), new MemoryBudget(PLENTY, clock.now), err => warnings.push(err.message));
        return { store, warnings, fast };
    }

    /** Milliseconds that a call takes. */
    async function timed<T>(call: () => Promise<T>): Promise<[T, number]> {
        const started = performance.now();
        return [await call(), performance.now() - started];
    }

    /** Each call is answered from memory in time, and the operator told. */
    async function expectAlone(store: FallbackBudget, warnings: readonly string[]): Promise<void> {
        const [, firstMs] = await timed(() => store.countFirst('google'));
        const [answer, takeMs] = await timed(() => store.take('google', 'author'));
        expect(answer).toBe('taken');
        expect(Math.max(firstMs, takeMs)).toBeLessThan(SECOND);
        expect(warnings).toHaveLength(2);
    }

    it('stopped, each reroute is decided within a second, and the brake holds', async () => {
        const { store, warnings, fast } = await connected();
        expect(await store.take('google', 'author')).toBe('taken');
        expect(warnings).toEqual([]);
        const closed = new Promise(resolve => fast.once('close', resolve));
        await redis.server.stop();
        await closed;
        try {
            await expectAlone(store, warnings);
            expect(await takeMany(store, 14)).toEqual({ taken: 9, provider: 5, sender: 0 });
        } finally {
            await redis.startAgain();
        }
        // and back: Redis counts again
        await new Promise<void>(resolve => (fast.status === 'ready' ? resolve() : fast.once('ready', () => resolve())));
        const before = warnings.length;
        expect(await store.take('google', 'author')).toBe('taken');
        expect(warnings).toHaveLength(before);
    });

    it('frozen, each reroute is decided within a second too', async () => {
        const { store, warnings } = await connected();
        redis.server.kill('SIGSTOP');
        try {
            await expectAlone(store, warnings);
        } finally {
            redis.server.kill('SIGCONT');
        }
    });

    it('a first attempt that Redis refuses to count is counted in memory', async () => {
        const { now, ms } = new Clock();
        const warnings: string[] = [];
        const memory = new MemoryBudget({ ...PLENTY, share: 1, floor: 0 }, now);
        const store = new FallbackBudget(new RedisBudget(redis.client, 'spoilt:', PLENTY, now), memory, err => warnings.push(err.message));
        await redis.client.set(`spoilt:{budget}:first:google:${ms / MINUTE}`, 'not a number');
        await store.countFirst('google');
        expect(warnings).toHaveLength(1);
        expect(await takeMany(memory, 2)).toEqual({ taken: 1, provider: 1, sender: 0 });
    });
});
