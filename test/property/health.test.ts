/** The pool's memory over time, against a model that knows nothing of it: strikes, successes, probes, expiries and jumps of the clock in any order. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryHealth } from '../../lib/health/memory-health';
import { FORGOTTEN_AFTER, PROBE_TIME, SAME_EVENT, scopesOf, type HealthLimits } from '../../lib/health/suspension';
import { SuspensionTable } from '../../lib/health/table';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const COOL_DOWN = { first: 10 * MINUTE, factor: 3, maximum: 24 * HOUR };
const LIMITS: HealthLimits = { coolDown: { 'ip-reputation': COOL_DOWN, 'ip-rate': COOL_DOWN, 'ip-ptr': COOL_DOWN, network: COOL_DOWN }, rangeAfter: 3 };

/** Far apart, so that none widens. */
const PLACES = [1, 2, 3].map(n => ({ address: `${n}.0.2.1`, family: 'ipv4' as const, ranges: [`${n}.0.2.0/28`, `${n}.0.2.0/24`] }));

/** What an address may expect: a few lines, by hand. */
interface Model {
    struck: number;
    until: number;
    strikes: number;
    probing: number;
}

interface Step {
    kind: 'strike' | 'succeed' | 'claim';
    place: number;
    wait: number;
    /** How long the accepted delivery took. */
    took: number;
}

const steps = fc.array(
    fc.record<Step>({
        kind: fc.constantFrom('strike', 'strike', 'succeed', 'claim'),
        place: fc.nat(2),
        // the clock may be set back, too
        wait: fc.oneof(fc.constantFrom(0, 1, SAME_EVENT - 1, SAME_EVENT, PROBE_TIME, 10 * MINUTE, 30 * MINUTE, 25 * HOUR, 100 * HOUR), fc.integer({ min: -5000, max: 2 * HOUR })),
        took: fc.integer({ min: 0, max: 10 * MINUTE })
    }),
    { maxLength: 60, size: 'max' }
);

async function live(todo: readonly Step[], check: (table: SuspensionTable, models: readonly (Model | undefined)[], now: number) => void): Promise<void> {
    const table = new SuspensionTable();
    const store = new MemoryHealth(table, LIMITS);
    const models: (Model | undefined)[] = [undefined, undefined, undefined];
    let now = Date.UTC(2026, 0, 1);
    for (const { kind, place, wait, took } of todo) {
        now += wait;
        const where = PLACES[place] as (typeof PLACES)[number];
        const scopes = scopesOf(where);
        const known = models[place];
        const model = known && now < known.until + FORGOTTEN_AFTER ? known : undefined;
        if (kind === 'strike') {
            await store.strike({ provider: 'google', class: 'ip-reputation', code: 550, note: '', scopes, base: 0, message: 'one', accepted: scopes.map(() => 0), undecided: scopes.map(() => false), retryAfter: 0, now });
            if (!model || now >= model.until || now - model.struck >= SAME_EVENT) {
                models[place] = { struck: now, until: Math.max(model?.until ?? 0, now + COOL_DOWN.first), strikes: (model?.strikes ?? 0) + 1, probing: 0 };
            }
        } else if (kind === 'succeed') {
            await store.succeed({ provider: 'google', scopes, startedAt: now - took, now });
            models[place] = model && model.struck < now - took ? undefined : model;
        } else {
            const may = model !== undefined && now >= model.until && now >= model.probing;
            expect((await store.claimProbe('google', scopes, now)) !== undefined).toBe(may);
            if (model && may) {
                model.probing = now + PROBE_TIME;
            }
        }
        const stored = models[place] && table.find('google', [where.address], now)[0];
        const kept = models[place];
        if (kept && stored) {
            // the model knows the least that a cool-down must be; how much longer, the next check bounds
            expect(stored.until).toBeGreaterThanOrEqual(kept.until);
            expect(stored.until - Math.max(now, kept.struck)).toBeLessThanOrEqual(COOL_DOWN.maximum + 2 * 5000 * todo.length);
            kept.until = stored.until;
        }
        check(table, models, now);
    }
}

describe('whatever happens to the addresses of a pool', () => {
    it('each is suspended, half-open or healthy exactly when a simple model says so', async () => {
        await fc.assert(
            fc.asyncProperty(steps, todo =>
                live(todo, (table, models, now) => {
                    const view = table.view('google', now);
                    for (const [index, place] of PLACES.entries()) {
                        const model = models[index];
                        const gone = !model || now >= model.until + FORGOTTEN_AFTER;
                        expect(view.standing(place)).toBe(gone ? 'open' : now < model.until || now < model.probing ? 'shut' : 'probe');
                    }
                })
            ),
            { numRuns: 1000 }
        );
    });
});
