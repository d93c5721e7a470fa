/** The pace at a provider: one contract, held by memory and by a real Redis, which give the same answers to whatever happens. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryPace } from '../../lib/health/memory-pace';
import { CONNECTION_WAIT, LEASE, LONGEST_WAIT, type Pace, type PaceStore, type Slot, type SlotRequest } from '../../lib/health/pace';
import { PoolPace } from '../../lib/health/pool-pace';
import { RedisPace } from '../../lib/health/redis-pace';
import { useRealCluster, useRealRedis } from './real-redis';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const START = Date.UTC(2026, 0, 1);
const [A, B, C] = ['192.0.2.1', '192.0.2.2', '2001:db8::3'] as const;

const redis = useRealRedis();
const cluster = useRealCluster();
let runs = 0;

const STORES: Record<string, () => PaceStore> = {
    memory: () => new MemoryPace(),
    Redis: () => new RedisPace(redis.client, `run${runs++}:`),
    'a Redis Cluster': () => new RedisPace(cluster.client, `run${runs++}:`)
};

let deliveries = 0;

function request(pace: Pace, now: number, more: Partial<SlotRequest> = {}): SlotRequest {
    return { provider: 'google', pace, delivery: `d${deliveries++}`, candidates: [{ address: A }], more: false, waited: false, now, ...more };
}

const kinds = (slots: readonly Slot[]) => slots.map(slot => slot.kind);
/** Turns in ms from the start. */
const turns = (slots: readonly Slot[]) => slots.flatMap(slot => (slot.kind === 'wait' ? [slot.at - START] : []));

describe.each(Object.entries(STORES))('the pace in %s', (_name, make) => {
    /** Eleven a minute: one slot in 6 s. */
    const ELEVEN: Pace = { pool: { messages: 11 } };

    it('lets a message go where nothing is limited', async () => {
        const store = make();
        for (let n = 0; n < 50; n++) {
            expect(await store.ask(request({}, START))).toEqual({ kind: 'go', address: A, full: [] });
        }
    });

    it('gives each one that finds no slot a turn of its own, in the order of coming', async () => {
        const store = make();
        const slots = [];
        for (let n = 0; n < 6; n++) {
            slots.push(await store.ask(request(ELEVEN, START)));
        }
        // what was not used in the last six seconds, and this moment's
        expect(kinds(slots)).toEqual(['go', 'go', 'wait', 'wait', 'wait', 'wait']);
        expect(turns(slots)).toEqual([6000, 12_000, 18_000, 24_000]);
    });

    it('lets a newcomer stand behind those who wait, also when a slot is free', async () => {
        const store = make();
        for (let n = 0; n < 4; n++) {
            await store.ask(request(ELEVEN, START));
        }
        expect(turns([await store.ask(request(ELEVEN, START + 7 * SECOND))])).toEqual([18_000]);
        expect((await store.ask(request(ELEVEN, START + 7 * SECOND, { waited: true }))).kind).toBe('go');
    });

    it('lets nobody go over it, whoever has a turn: those who come late together stand again', async () => {
        const store = make();
        for (let n = 0; n < 12; n++) {
            await store.ask(request(ELEVEN, START));
        }
        const late = [];
        for (let n = 0; n < 10; n++) {
            late.push(await store.ask(request(ELEVEN, START + 59 * SECOND, { waited: true })));
        }
        expect(kinds(late).filter(kind => kind === 'go')).toHaveLength(2);
        // the first one behind the last turn that was given
        expect(turns(late)[0]).toBe(66_000);
    });

    it('of an address sends the delivery from the next candidate', async () => {
        const store = make();
        const pace: Pace = { address: { messages: 11 } };
        const candidates = [{ address: A }, { address: B }];
        const sent = [];
        for (let n = 0; n < 4; n++) {
            sent.push(await store.ask(request(pace, START, { candidates })));
        }
        expect(sent.map(slot => (slot.kind === 'go' ? slot.address : slot.kind))).toEqual([A, A, B, B]);
        expect(sent[2]?.full).toEqual([{ address: A, until: START + 6000 }]);
    });

    it('asks for other addresses as long as there are any, and reserves nothing meanwhile', async () => {
        const store = make();
        const pace: Pace = { address: { messages: 11 } };
        await store.ask(request(pace, START));
        await store.ask(request(pace, START));
        for (let n = 0; n < 3; n++) {
            expect(await store.ask(request(pace, START, { more: true }))).toEqual({ kind: 'more', full: [{ address: A, until: START + 6000 }] });
        }
        expect(turns([await store.ask(request(pace, START)), await store.ask(request(pace, START))])).toEqual([6000, 12_000]);
    });

    it('counts an address in warm-up by the day as well', async () => {
        const store = make();
        const candidates = [{ address: A, perDay: 11 }, { address: B }];
        const pace: Pace = { address: { messages: 1000 } };
        const froms = [];
        for (let n = 0; n < 4; n++) {
            const slot = await store.ask(request(pace, START, { candidates }));
            froms.push(slot.kind === 'go' && slot.address);
        }
        // a tenth of the day may have been unused
        expect(froms).toEqual([A, A, B, B]);
        expect((await store.ask(request(pace, START, { candidates }))).full).toEqual([{ address: A, until: START + 2.4 * HOUR }]);
        // and per provider
        expect(await store.ask(request(pace, START, { candidates, provider: 'yahoo' }))).toMatchObject({ kind: 'go', address: A });
    });

    it('counts deliveries under way, until they end or are forgotten', async () => {
        const store = make();
        const pace: Pace = { pool: { messages: 1_000_000, connections: 3 }, address: { messages: 1_000_000, connections: 2 } };
        const ask = (now: number, delivery: string, address: string, waited = false) => store.ask(request(pace, now, { delivery, candidates: [{ address }], waited }));
        expect(kinds([await ask(START, 'one', A), await ask(START, 'two', A)])).toEqual(['go', 'go']);
        expect(await ask(START, 'three', A)).toMatchObject({ kind: 'wait', full: [{ address: A }] });
        expect((await ask(START, 'four', B)).kind).toBe('go');
        expect(turns([await ask(START, 'five', C)])).toEqual([CONNECTION_WAIT]);
        await store.release('google', A, 'one');
        expect((await ask(START + CONNECTION_WAIT, 'five', C, true)).kind).toBe('go');
        expect((await ask(START + LEASE - 1, 'six', C, true)).kind).toBe('wait');
        expect((await ask(START + LEASE, 'six', C, true)).kind).toBe('go');
    });

    it('is halved by a limit that was met, once for one event, down to a sixteenth, and grows back evenly', async () => {
        const store = make();
        const lowered = [];
        for (const seconds of [0, 10, 29.999, 30, 60, 90, 120, 150]) {
            lowered.push(await store.lower('google', START + seconds * SECOND));
        }
        expect(lowered.map(share => share && Number(share.toFixed(2)))).toEqual([0.5, undefined, undefined, 0.25, 0.13, 0.07, 0.06, 0.06]);
        const shareAt = async (now: number) => (await store.states(now))[0]?.share;
        expect(await shareAt(START + 150 * SECOND)).toBe(1 / 16);
        expect(await shareAt(START + 150 * SECOND + HOUR)).toBe(1 / 16 + 0.5);
        expect(await shareAt(START + 150 * SECOND + 2 * HOUR)).toBeUndefined();
    });

    it('when lowered gives turns further apart', async () => {
        const store = make();
        await store.lower('google', START);
        const slots = [];
        for (let n = 0; n < 4; n++) {
            slots.push(await store.ask(request(ELEVEN, START)));
        }
        expect(kinds(slots)).toEqual(['go', 'wait', 'wait', 'wait']);
        expect(turns(slots)).toEqual([6000, 18_000, 30_000]);
    });

    it('tells nobody to come back later than in an hour', async () => {
        const store = make();
        const slots = [];
        for (let n = 0; n < 70; n++) {
            slots.push(await store.ask(request({ pool: { messages: 1 } }, START)));
        }
        expect(Math.max(...turns(slots))).toBe(LONGEST_WAIT);
        expect(turns(slots).filter(at => at === LONGEST_WAIT).length).toBeGreaterThan(5);
    });

    it('gets over a clock that was hours ahead', async () => {
        const store = make();
        for (let n = 0; n < 5; n++) {
            await store.ask(request(ELEVEN, START + 10 * HOUR));
        }
        const slot = await store.ask(request(ELEVEN, START, { waited: true }));
        expect(turns([slot])[0]).toBeLessThanOrEqual(LONGEST_WAIT);
        expect((await store.ask(request(ELEVEN, START + 7 * SECOND, { waited: true }))).kind).toBe('go');
    });

    it('shows what was sent in the last minute, the share and the line', async () => {
        const store = make();
        for (let n = 0; n < 5; n++) {
            await store.ask(request(ELEVEN, START));
        }
        await store.ask(request({}, START + 40 * SECOND, { provider: 'yahoo' }));
        expect((await store.states(START)).find(({ provider }) => provider === 'google')).toEqual({ provider: 'google', share: 1, used: 2, line: 24_000 });
        expect((await store.states(START + 61 * SECOND)).map(({ provider, used }) => [provider, used])).toEqual([['yahoo', 1]]);
    });
});

interface Step {
    wait: number;
    ask: Partial<SlotRequest> | undefined;
    lower: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
    wait: fc.constantFrom(0, 0, 0, 1, 137, 2000, 7000, 61 * SECOND, 11 * MINUTE, 3 * HOUR, 30 * HOUR),
    ask: fc.option(
        fc.record({
            candidates: fc.uniqueArray(fc.constantFrom({ address: A, perDay: 20 }, { address: A }, { address: B }, { address: C, perDay: 3 }), { minLength: 1, selector: ({ address }) => address }),
            more: fc.boolean(),
            waited: fc.boolean()
        }),
        { nil: undefined, freq: 8 }
    ),
    lower: fc.integer({ min: 0, max: 9 }).map(n => n === 0)
});
const pace: fc.Arbitrary<Pace> = fc.record({
    pool: fc.option(fc.record({ messages: fc.constantFrom(1, 7, 60, 1000), connections: fc.option(fc.constantFrom(1, 4), { nil: undefined }) }), { nil: undefined }),
    address: fc.option(fc.record({ messages: fc.constantFrom(1, 3, 100), connections: fc.option(fc.constantFrom(1, 2), { nil: undefined }) }), { nil: undefined })
});

describe('both stores', () => {
    it('give the same answers to any sequence of deliveries, limits that are met, ends, and long pauses', async () => {
        await fc.assert(
            fc.asyncProperty(pace, fc.array(step, { maxLength: 60, size: 'max' }), async (given, steps) => {
                const [memory, shared] = [STORES['memory']?.(), STORES['Redis']?.()] as [PaceStore, PaceStore];
                let now = START;
                for (const [index, todo] of steps.entries()) {
                    now += todo.wait;
                    if (todo.lower) {
                        expect(await shared.lower('google', now)).toEqual(await memory.lower('google', now));
                    }
                    if (todo.ask) {
                        const asked = request(given, now, { ...todo.ask, delivery: `${index}` });
                        const slot = await shared.ask(asked);
                        expect(slot).toEqual(await memory.ask(asked));
                        if (slot.kind === 'go' && index % 2 === 0) {
                            await Promise.all([memory, shared].map(store => store.release('google', slot.address, `${index}`)));
                        }
                    }
                }
            }),
            { numRuns: 200 }
        );
    });
});

describe('the pace in Redis', () => {
    it('leaves nothing behind that does not expire, and all keys of a provider share its hash tag', async () => {
        const store = new RedisPace(redis.client, 'tidy:');
        const full: Pace = { pool: { messages: 11, connections: 2 }, address: { messages: 5, connections: 1 } };
        for (let n = 0; n < 4; n++) {
            await store.ask(request(full, START, { candidates: [{ address: A, perDay: 5 }] }));
        }
        await store.lower('google', START);
        const keys = (await redis.client.keys('tidy:*')).sort();
        expect(keys).toEqual(['tidy:pace:providers', ...['day', 'minute', 'pace', 'under-way'].map(name => `tidy:pace:{google}:${name}`)]);
        for (const key of keys.filter(name => name.includes('{'))) {
            expect(await redis.client.pttl(key), key).toBeGreaterThan(0);
        }
        expect(await redis.client.pttl('tidy:pace:{google}:pace')).toBeGreaterThan(HOUR);
        // the list of providers is swept with each new one
        await store.ask(request(full, START + 10 * HOUR, { provider: 'yahoo' }));
        expect(await redis.client.zrange('tidy:pace:providers', 0, -1)).toEqual(['yahoo']);
    });

    it('is asked in one call for each delivery', async () => {
        const store = new RedisPace(redis.client, 'calls:');
        await store.ask(request({ pool: { messages: 10 } }, START));
        const calls = async () => Number(/total_commands_processed:(\d+)/.exec(await redis.client.info('stats'))?.[1]);
        const evals = async () => Number(/cmdstat_eval:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1]);
        const [before, began] = [await evals(), await calls()];
        for (let n = 0; n < 20; n++) {
            await store.ask(request({ pool: { messages: 10 } }, START + n));
        }
        expect((await evals()) - before).toBe(20);
        expect(await calls()).toBeGreaterThan(began);
    });
});

describe('while Redis is away', () => {
    it('a process goes on with its own part of the pace, and remembers which addresses are full', async () => {
        const warned: string[] = [];
        const away: PaceStore = { ask: failing, release: failing, lower: failing, states: failing };
        const own = new PoolPace(away, new MemoryPace(1 / 11), () => START, err => warned.push(err.message));
        const { now: _now, ...asked } = request({ address: { messages: 11 } }, START);
        expect(await own.ask(asked)).toMatchObject({ kind: 'go' });
        expect(await own.ask(asked)).toMatchObject({ kind: 'wait', at: START + 60 * SECOND });
        expect(own.isFull('google', A)).toBe(true);
        expect(own.isFull('google', B)).toBe(false);
        expect(own.isFull('yahoo', A)).toBe(false);
        await own.release('google', A, 'x');
        expect(await own.lower('google')).toBe(0.5);
        expect(warned).toEqual(Array(4).fill('away'));
    });
});

function failing(): Promise<never> {
    return Promise.reject(new Error('away'));
}
