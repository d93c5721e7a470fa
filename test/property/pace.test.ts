/** What holds of the pace whoever comes when: no window over it, nobody waits for ever, and turns in the order of coming. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryPace } from '../../lib/health/memory-pace';
import { LONGEST_WAIT, SLACK, spacingOf, waitOf, type Pace } from '../../lib/health/pace';

const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const ADDRESSES = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];

interface Arrival {
    after: number;
    /** How late it comes back each time that it had to wait. */
    late: number;
    /** Offered addresses, by number. */
    from: readonly number[];
}

const arrival: fc.Arbitrary<Arrival> = fc.record({
    after: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 4000 }), fc.integer({ min: 0, max: 3 * MINUTE })),
    late: fc.oneof(fc.integer({ min: 0, max: 1500 }), fc.integer({ min: 0, max: 3 * MINUTE })),
    from: fc.uniqueArray(fc.nat(2), { minLength: 1 })
});
const limit = fc.record({ messages: fc.integer({ min: 1, max: 300 }) });
const pace: fc.Arbitrary<Pace> = fc.record({ pool: fc.option(limit, { nil: undefined }), address: fc.option(limit, { nil: undefined }) });

interface Sent {
    at: number;
    address: string;
    arrived: number;
    asked: number;
}

/** Plays deliveries that come, and come back at their turn or later, in the order of time, until all have gone. */
async function play(given: Pace, arrivals: readonly Arrival[], { limits = [] as readonly number[] } = {}): Promise<Sent[]> {
    const store = new MemoryPace();
    let time = START;
    const due = arrivals.map(({ after, late, from }, id) => ({ id, at: (time += after), arrived: time, late, from, waited: false, asked: 0 }));
    const sent: Sent[] = [];
    while (due.length > 0) {
        due.sort((a, b) => a.at - b.at || a.id - b.id);
        const [next] = due;
        if (!next || next.asked > 10_000) {
            throw new Error('a delivery waits for ever');
        }
        if (limits.includes(sent.length)) {
            await store.lower('there', next.at);
        }
        next.asked++;
        const slot = await store.ask({
            provider: 'there',
            pace: given,
            delivery: `${next.id}`,
            candidates: next.from.map(n => ({ address: ADDRESSES[n] ?? '' })),
            more: false,
            waited: next.waited,
            now: next.at
        });
        if (slot.kind === 'go') {
            sent.push({ at: next.at, address: slot.address, arrived: next.arrived, asked: next.asked });
            due.shift();
        } else if (slot.kind === 'wait') {
            expect(slot.at).toBeGreaterThan(next.at);
            expect(slot.at).toBeLessThanOrEqual(next.at + LONGEST_WAIT);
            Object.assign(next, { at: slot.at + next.late, waited: true });
        }
    }
    return sent;
}

/** The most of these times that lie in one window, wherever it begins. */
function most(times: readonly number[], window: number): number {
    const sorted = [...times].sort((a, b) => a - b);
    return sorted.reduce((best, from, index) => Math.max(best, sorted.filter((at, other) => other >= index && at < from + window).length), 0);
}

describe('the pace', () => {
    it('is kept in every minute, and in every second but for what was left unused just before', async () => {
        await fc.assert(
            fc.asyncProperty(pace, fc.array(arrival, { minLength: 1, maxLength: 120, size: 'max' }), async (given, arrivals) => {
                const sent = await play(given, arrivals);
                expect(sent).toHaveLength(arrivals.length);
                const lanes = [
                    { limit: given.pool?.messages, times: sent.map(({ at }) => at) },
                    ...ADDRESSES.map(address => ({ limit: given.address?.messages, times: sent.filter(each => each.address === address).map(({ at }) => at) }))
                ];
                for (const { limit: messages, times } of lanes) {
                    if (messages !== undefined) {
                        expect(most(times, MINUTE)).toBeLessThanOrEqual(messages);
                        expect(most(times, 1000)).toBeLessThanOrEqual(Math.ceil((1000 + SLACK.minute) / spacingOf(messages, 'minute')));
                    }
                }
            }),
            { numRuns: 300 }
        );
    });

    it('is kept when it was lowered meanwhile, and nobody waits for ever', async () => {
        await fc.assert(
            fc.asyncProperty(pace, fc.array(arrival, { minLength: 1, maxLength: 80, size: 'max' }), fc.array(fc.nat(80)), async (given, arrivals, limits) => {
                const sent = await play(given, arrivals, { limits });
                expect(sent).toHaveLength(arrivals.length);
                if (given.pool) {
                    expect(most(sent.map(({ at }) => at), MINUTE)).toBeLessThanOrEqual(given.pool.messages);
                }
            }),
            { numRuns: 200 }
        );
    });

    it('lets those who come back in time go in the order in which they came, at the second asking', async () => {
        await fc.assert(
            fc.asyncProperty(limit, fc.array(fc.record({ after: fc.integer({ min: 0, max: 3000 }), late: fc.integer({ min: 0, max: 100 }) }), { minLength: 2, maxLength: 100, size: 'max' }), async (pool, arrivals) => {
                // late by less than a spacing: nobody overtakes
                const late = Math.min(100, spacingOf(pool.messages, 'minute') / 2);
                const sent = await play({ pool }, arrivals.map(each => ({ ...each, late: Math.min(each.late, late), from: [0] })));
                const turns = sent.filter(({ asked }) => asked > 1);
                if (turns.every(({ at, arrived }) => at - arrived < LONGEST_WAIT)) {
                    expect(turns.map(({ arrived }) => arrived)).toEqual([...turns.map(({ arrived }) => arrived)].sort((a, b) => a - b));
                    expect(Math.max(...sent.map(({ asked }) => asked))).toBeLessThanOrEqual(2);
                }
            }),
            { numRuns: 200 }
        );
    });

    it('loses little of what it allows: a thousand at once go at nine tenths of it', async () => {
        const messages = 600;
        const sent = await play({ pool: { messages } }, Array.from({ length: 1000 }, (_, n) => ({ after: 0, late: n % 5 === 0 ? 1500 : 300, from: [0] })));
        const took = Math.max(...sent.map(({ at }) => at)) - START;
        expect(took).toBeLessThan((1000 / messages) * MINUTE * 1.2);
        expect(Math.max(...sent.map(({ asked }) => asked))).toBeLessThanOrEqual(2);
    });
});

describe('the wait of a delivery', () => {
    it('is until its turn; turns that were cut at the longest wait are strewn over half of it', () => {
        fc.assert(
            fc.property(fc.integer({ min: -1000, max: 2 * LONGEST_WAIT }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (ahead, chance) => {
                const wait = waitOf(START + ahead, START, () => chance);
                if (ahead < LONGEST_WAIT) {
                    expect(wait).toBe(Math.max(0, ahead));
                } else {
                    expect(wait).toBeGreaterThanOrEqual(ahead / 2);
                    expect(wait).toBeLessThanOrEqual(ahead);
                }
            })
        );
    });
});
