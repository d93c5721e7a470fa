/**
 * Whole lives of deliveries: the policy with the choice of addresses, in a ZoneMTA that does with a verdict what
 * lib/sender.js does. A failure prints fast-check's seed and path, which tell the same life again.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freshState, withAttempt } from '../../lib/delivery/state';
import { MAX_ATTEMPTS, REPLY_CLASSES, SCOPES, type Attempt, type Classification, type DeliveryState, type ReplyClass } from '../../lib/delivery/types';
import { decide, RELAYABLE, type PolicySettings, type RerouteBrake, type Verdict } from '../../lib/policy/decide';
import { choose, whatIsLeft, type Left } from '../../lib/pool/choose';
import { buildPool, type PoolAddress } from '../../lib/pool/pool';
import { seeded } from '../bed/internet/random';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const LIVES = 8000;

interface Event {
    accepted: boolean;
    code: number;
    reply: Classification;
    brake: RerouteBrake;
    relayOn: boolean;
    /** Time that the attempt takes, and that it waited for a free sender. */
    ms: number;
    /** The socket's address is not known. */
    /** Others of ours get through. */
    othersReach: boolean;
    nameless: boolean;
}

interface World {
    pool: readonly PoolAddress[];
    reachable: { ipv4: boolean; ipv6: boolean };
    settings: PolicySettings;
    relays: readonly string[];
    schedule: readonly number[];
    /** What the other side does, from the first attempt on; then again from the start. */
    events: readonly Event[];
    seed: number;
}

interface Step {
    before: DeliveryState;
    after: DeliveryState;
    event: Event;
    attempt: Attempt;
    verdict: Verdict;
    now: number;
    drawn: PoolAddress | undefined;
    /** What could have been drawn and had not been tried. */
    leftBefore: Left;
}

interface Life {
    steps: Step[];
    end: 'delivered' | 'bounced' | 'unfinished';
    endedAt: number;
}

/** More than any life may need: the schedule, the reroutes, and a day at the relay in five-minute steps with two attempts each. */
const TOO_MANY = 1000;

function live(world: World): Life {
    const { pool, reachable, settings, relays, schedule, events } = world;
    const random = seeded(world.seed);
    const steps: Step[] = [];
    let state = freshState('default');
    let zone = 'default';
    let count = 0;
    let now = Date.UTC(2026, 0, 1);
    while (steps.length < TOO_MANY) {
        const event = events[steps.length % events.length] as Event;
        const before = state;
        const tried = before.attempts.map(attempt => attempt.address);
        // lib/process/route.ts draws like this
        const drawn =
            before.phase === 'pool'
                ? choose({ pool, reachable, share: 0.5, tried: tried.filter(address => address !== before.pin?.address), pin: before.pin, random })
                : undefined;
        const leftBefore = whatIsLeft({ pool, reachable, tried });
        now += event.ms;
        if (event.accepted) {
            return { steps, end: 'delivered', endedAt: now };
        }
        const address = event.nameless ? '' : (drawn?.address ?? '');
        const attempt: Attempt = {
            at: now,
            address,
            family: event.nameless ? '' : (drawn?.family ?? ''),
            provider: 'example',
            mx: 'mx.example',
            class: event.reply.class,
            rule: 'a-rule',
            code: event.code,
            response: `${event.code} no`,
            ms: event.ms
        };
        const { verdict, state: decided } = decide({
            state: before,
            attempt,
            reply: event.reply,
            stage: event.code % 7 === 0 ? 'auth' : 'rcpt',
            settings,
            othersReach: event.othersReach,
            left: whatIsLeft({ pool, reachable, tried: [...tried, address] }),
            brake: event.brake,
            relays,
            relayOff: !event.relayOn,
            zone,
            schedule,
            deferred: count,
            now,
            random
        });
        state = withAttempt(decided, attempt);
        steps.push({ before, after: state, event, attempt, verdict, now, drawn, leftBefore });

        // lib/sender.js: a deferral beyond the schedule is a reject; ours bring a schedule of their own, one step longer than the count
        switch (verdict.action) {
            case 'bounce':
                return { steps, end: 'bounced', endedAt: now };
            case 'core':
                if (event.code >= 500 || count >= schedule.length) {
                    return { steps, end: 'bounced', endedAt: now };
                }
                now += schedule[count] as number;
                count++;
                break;
            case 'defer':
                now += verdict.delay;
                count++;
                break;
            case 'reroute':
                now += verdict.delay;
                break;
            case 'relay':
                now += verdict.delay;
                zone = verdict.zone;
                count = verdict.fresh ? 0 : count;
        }
    }
    return { steps, end: 'unfinished', endedAt: now };
}

const addresses = fc
    .record({ v4: fc.subarray([1, 2, 3, 17, 18, 33, 129, 200].map(n => `198.51.100.${n}`)), other: fc.subarray(['203.0.113.7', '203.0.113.8']), v6: fc.subarray(['2001:db8:1::1', '2001:db8:1::2', '2001:db8:1:2::1', '2001:db8:2::1']) })
    .map(({ v4, other, v6 }) => buildPool([...v4, ...other, ...v6].map(address => ({ address })), { subnets4: [28, 24], subnets6: [64, 48], weights: {} }));

const reply = fc.record<Classification>({
    // half of them are of the classes that the policy has a line for
    class: fc.oneof(fc.constantFrom<ReplyClass>('ip-reputation', 'ip-rate', 'ip-ptr', 'greylist', 'network'), fc.constantFrom(...REPLY_CLASSES)),
    ipRelated: fc.boolean(),
    scope: fc.constantFrom(...SCOPES),
    rule: fc.constant('a-rule'),
    hints: fc.record({ retryAfter: fc.nat(86_400), rateAbout: fc.constantFrom('address' as const, 'domain' as const, 'sender' as const, 'url' as const, 'complaints' as const) }, { requiredKeys: [] })
});

const event = fc.record<Event>({
    accepted: fc.integer({ min: 0, max: 19 }).map(n => n === 0),
    code: fc.constantFrom(0, 421, 421, 450, 451, 452, 530, 535, 550, 550, 552, 554),
    reply,
    brake: fc.constantFrom('free', 'free', 'spent', 'off'),
    relayOn: fc.integer({ min: 0, max: 4 }).map(n => n > 0),
    ms: fc.integer({ min: 0, max: 30_000 }),
    othersReach: fc.boolean(),
    nameless: fc.integer({ min: 0, max: 9 }).map(n => n === 0)
});

const world = fc.record<World>({
    pool: addresses,
    reachable: fc.record({ ipv4: fc.boolean(), ipv6: fc.boolean() }),
    settings: fc.record<PolicySettings>({
        attempts: fc.integer({ min: 0, max: 20 }),
        delays: fc.array(fc.integer({ min: 0, max: HOUR }), { minLength: 1, maxLength: 6 }),
        relayAfter: fc.record({ 'ip-rate': fc.integer({ min: 0, max: 10 * HOUR }), network: fc.integer({ min: 0, max: 10 * HOUR }) }, { requiredKeys: [] }),
        maxAge: fc.integer({ min: MINUTE, max: 24 * HOUR })
    }),
    relays: fc.subarray(['relay-a', 'relay-b', 'relay-c']),
    schedule: fc.array(fc.integer({ min: 5 * MINUTE, max: 4 * HOUR }), { minLength: 1, maxLength: 17 }),
    events: fc.array(event, { minLength: 1, maxLength: 30 }),
    seed: fc.nat()
});

/** Every life is held to `check`. */
function everyLife(check: (life: Life, world: World) => void): void {
    fc.assert(
        fc.property(world, drawn => check(live(drawn), drawn)),
        { numRuns: LIVES }
    );
}

describe('whatever a delivery meets', () => {
    it('it goes to the relay only after a refusal of a class that another network can help', () => {
        everyLife(({ steps }, { relays }) => {
            for (const { before, verdict, attempt, event: { relayOn } } of steps) {
                if (before.phase === 'pool' && verdict.action === 'relay') {
                    expect(RELAYABLE).toContain(attempt.class);
                    expect(relays[0]).toBe(verdict.zone);
                    expect(relayOn).toBe(true);
                }
            }
        });
    });

    it('it is rerouted at most as often as the settings say', () => {
        everyLife(({ steps }, { settings }) => {
            expect(steps.filter(({ verdict }) => verdict.action === 'reroute').length).toBeLessThanOrEqual(settings.attempts);
        });
    });

    it('no address is tried twice while an untried one is left, but for the one that greylisting keeps', () => {
        everyLife(({ steps }) => {
            for (const { before, drawn, leftBefore } of steps) {
                const known = before.attempts.map(attempt => attempt.address);
                if (before.phase === 'pool' && drawn && leftBefore === 'open' && drawn.address !== before.pin?.address) {
                    expect(known).not.toContain(drawn.address);
                }
            }
        });
    });

    it('as long as all its attempts are remembered, a reroute never repeats an address', () => {
        everyLife(({ steps }) => {
            for (const [index, { drawn, before }] of steps.entries()) {
                const cause = steps[index - 1];
                if (cause?.verdict.action === 'reroute' && before.attempts.length < MAX_ATTEMPTS) {
                    expect(before.attempts.map(attempt => attempt.address)).not.toContain(drawn?.address);
                }
            }
        });
    });

    it('its life ends: delivered or bounced, at the relay within maxAge and one step more', () => {
        everyLife(({ steps, end, endedAt }, { schedule, settings }) => {
            expect(end).not.toBe('unfinished');
            expect(steps.filter(({ before }) => before.phase === 'pool').length).toBeLessThanOrEqual(schedule.length + settings.attempts + 2);
            const handover = steps.find(({ before, after }) => before.phase === 'pool' && after.phase === 'relay');
            if (handover) {
                expect(endedAt - handover.now).toBeLessThanOrEqual(settings.maxAge + Math.max(...schedule));
            }
        });
    });

    it('it never comes back from the relay, and the end of its time there never moves', () => {
        everyLife(({ steps }, { settings }) => {
            for (const { before, after, now } of steps) {
                if (before.phase === 'relay') {
                    expect(after).toMatchObject({ phase: 'relay', since: before.since, until: before.until });
                } else if (after.phase === 'relay') {
                    expect(after).toMatchObject({ since: now, until: now + settings.maxAge });
                }
            }
        });
    });

    it('over the budget or switched off there is no reroute', () => {
        everyLife(({ steps }) => {
            for (const { event: { brake }, verdict } of steps) {
                expect(brake !== 'free' && verdict.action === 'reroute').toBe(false);
            }
        });
    });

    it('every wait is within its jitter, and none is negative', () => {
        everyLife(({ steps }, { settings: { delays }, schedule }) => {
            for (const { verdict, before } of steps) {
                if (verdict.action === 'reroute') {
                    const base = delays[Math.min(before.reroutes, delays.length - 1)] ?? 0;
                    expect(verdict.delay).toBeGreaterThanOrEqual(Math.round(base * 0.8));
                    expect(verdict.delay).toBeLessThanOrEqual(Math.round(base * 1.2));
                } else if ('delay' in verdict) {
                    expect(verdict.delay).toBeGreaterThanOrEqual(0);
                    expect(verdict.delay).toBeLessThanOrEqual(Math.max(...schedule));
                }
            }
        });
    });
});
