/** The table in the header of lib/policy/decide.ts, line by line, and the edges between its lines. */
import { describe, expect, it } from 'vitest';
import type { Attempt, Classification, DeliveryState, Hints, RateAbout, ReplyClass, Scope, Stage } from '../../lib/delivery/types';
import { REPLY_CLASSES } from '../../lib/delivery/types';
import { blamedBy, decide, RELAYABLE, type Decision, type PolicySettings, type Situation } from '../../lib/policy/decide';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const NOW = Date.UTC(2026, 0, 15, 12);
const SCHEDULE = [5 * MINUTE, 7 * MINUTE, 8 * MINUTE];
const SETTINGS: PolicySettings = { attempts: 4, delays: [0, SECOND, 5 * SECOND, 30 * SECOND], relayAfter: { 'ip-rate': 2 * HOUR }, maxAge: 24 * HOUR };

interface Refusal {
    class: ReplyClass;
    code?: number;
    scope?: Scope;
    hints?: Hints;
    address?: string;
    stage?: Stage;
}

function attempt({ class: replyClass, code = 550, address = '192.0.2.1' }: Refusal, at = NOW): Attempt {
    const family = address === '' ? '' : address.includes(':') ? 'ipv6' : 'ipv4';
    return { at, address, family, provider: 'example', mx: 'mx.example', class: replyClass, rule: 'a-rule', code, response: `${code} no`, ms: 10 };
}

function pool(changes: Partial<DeliveryState> = {}): DeliveryState {
    return { v: 1, home: 'default', phase: 'pool', attempts: [], reroutes: 0, ...changes };
}

function atRelay(changes: Partial<DeliveryState> = {}): DeliveryState {
    return pool({ phase: 'relay', since: NOW - HOUR, until: NOW + 23 * HOUR, ...changes });
}

/** A first refusal in the pool, with everything still possible, but for what `changes` says. */
function after(refusal: Refusal, changes: Partial<Situation> = {}): Decision {
    const reply: Classification = { class: refusal.class, ipRelated: true, scope: refusal.scope ?? 'address', rule: 'a-rule', hints: refusal.hints ?? {} };
    return decide({
        state: pool(),
        attempt: attempt(refusal),
        reply,
        stage: refusal.stage ?? 'rcpt',
        settings: SETTINGS,
        left: 'open',
        brake: 'free',
        relays: ['relay', 'second-relay'],
        relayOff: false,
        zone: changes.state?.phase === 'relay' ? 'relay' : 'default',
        schedule: SCHEDULE,
        deferred: 0,
        now: NOW,
        random: () => 0.5,
        ...changes
    });
}

const toRelay = { action: 'relay', zone: 'relay', delay: 0, fresh: true };

describe('a listed or distrusted address (ip-reputation)', () => {
    it('goes out again at once from another address, whatever the code', () => {
        for (const code of [421, 450, 550, 554]) {
            expect(after({ class: 'ip-reputation', code }).verdict).toMatchObject({ action: 'reroute', delay: 0 });
        }
    });

    it('waits a little longer before each further address', () => {
        const delays = [0, 1, 2, 3].map(reroutes => after({ class: 'ip-reputation' }, { state: pool({ reroutes }) }).verdict);
        expect(delays.map(verdict => 'delay' in verdict && verdict.delay)).toEqual([0, SECOND, 5 * SECOND, 30 * SECOND]);
    });

    it('goes to the relay after the last attempt', () => {
        expect(after({ class: 'ip-reputation' }, { state: pool({ reroutes: 4 }) }).verdict).toMatchObject(toRelay);
    });

    it('goes to the relay when no untried address is left', () => {
        expect(after({ class: 'ip-reputation' }, { left: 'none' }).verdict).toMatchObject(toRelay);
    });

    it('goes to the relay at once when the provider as a whole refuses for good', () => {
        expect(after({ class: 'ip-reputation', scope: 'provider' }).verdict).toMatchObject(toRelay);
    });

    it('follows the schedule, and goes to the relay after relayAfter, when the provider as a whole refuses for now', () => {
        const since = (age: number) => ({ state: pool({ attempts: [attempt({ class: 'ip-reputation', code: 421 }, NOW - age)] }) });
        const refusal = { class: 'ip-reputation', scope: 'provider', code: 421 } as const;
        expect(after(refusal, since(2 * HOUR - 1)).verdict).toMatchObject({ action: 'defer', delay: 5 * MINUTE });
        expect(after(refusal, since(2 * HOUR)).verdict).toMatchObject(toRelay);
        expect(after(refusal, { deferred: 3 }).verdict).toMatchObject(toRelay);
    });

    it('bounces a final refusal when there is neither an address nor a relay left', () => {
        expect(after({ class: 'ip-reputation', code: 554 }, { left: 'none', relays: [] }).verdict.action).toBe('bounce');
    });

    it('stays on the schedule for a temporary refusal when there is neither an address nor a relay left', () => {
        expect(after({ class: 'ip-reputation', code: 421 }, { left: 'none', relays: [], deferred: 1 }).verdict).toMatchObject({ action: 'defer', delay: 7 * MINUTE });
        expect(after({ class: 'ip-reputation', code: 421 }, { left: 'none', relays: [], deferred: 3 }).verdict.action).toBe('bounce');
    });

    it('starts the relay time at the handover and counts the reroute', () => {
        expect(after({ class: 'ip-reputation' }, { state: pool({ reroutes: 2 }) }).state).toMatchObject({ phase: 'pool', reroutes: 3 });
        expect(after({ class: 'ip-reputation' }, { left: 'none' }).state).toMatchObject({ phase: 'relay', since: NOW, until: NOW + 24 * HOUR });
    });
});

describe('a limit on the address (ip-rate)', () => {
    it('tries one other address', () => {
        expect(after({ class: 'ip-rate', code: 421 }).verdict.action).toBe('reroute');
    });

    it('then follows the schedule', () => {
        const situation = { state: pool({ reroutes: 1 }), deferred: 2 };
        expect(after({ class: 'ip-rate', code: 421 }, situation).verdict).toMatchObject({ action: 'defer', delay: 8 * MINUTE });
        expect(after({ class: 'ip-rate', code: 550 }, situation).verdict).toMatchObject({ action: 'defer', delay: 8 * MINUTE });
    });

    it('goes to the relay after relayAfter, counted from the first such refusal', () => {
        const since = (age: number) => ({ state: pool({ reroutes: 1, attempts: [attempt({ class: 'network', code: 0 }, NOW - 9 * HOUR), attempt({ class: 'ip-rate' }, NOW - age)] }) });
        expect(after({ class: 'ip-rate', code: 421 }, since(2 * HOUR - 1)).verdict.action).toBe('defer');
        expect(after({ class: 'ip-rate', code: 421 }, since(2 * HOUR)).verdict).toMatchObject(toRelay);
    });

    it('is never handed over for its age alone when no relay may take it', () => {
        const state = pool({ reroutes: 1, attempts: [attempt({ class: 'ip-rate' }, NOW - 3 * HOUR)] });
        expect(after({ class: 'ip-rate', code: 421 }, { state, relays: [] }).verdict.action).toBe('defer');
    });

    it.each(['complaints', 'domain', 'sender', 'url'] as const)('about %s: the schedule, never another address and never the relay', rateAbout => {
        const state = pool({ attempts: [attempt({ class: 'ip-rate' }, NOW - 9 * HOUR)] });
        expect(after({ class: 'ip-rate', code: 421, hints: { rateAbout } }, { state }).verdict.action).toBe('core');
    });
});

describe('a missing or mismatched PTR (ip-ptr)', () => {
    it('tries one other address', () => {
        expect(after({ class: 'ip-ptr' }).verdict.action).toBe('reroute');
    });

    it('goes to the relay after that attempt', () => {
        expect(after({ class: 'ip-ptr' }, { state: pool({ reroutes: 1 }) }).verdict).toMatchObject(toRelay);
    });
});

describe('greylisting', () => {
    const greylisted = (state: DeliveryState, changes: Partial<Situation> = {}) => after({ class: 'greylist', code: 450 }, { state, ...changes });

    it('comes back from the same address to the same MX, on the schedule', () => {
        expect(greylisted(pool())).toMatchObject({
            verdict: { action: 'defer', delay: 5 * MINUTE },
            state: { pin: { address: '192.0.2.1', family: 'ipv4', mx: 'mx.example', tries: 1 } }
        });
    });

    it('takes another address after two tries from the same one', () => {
        const first = greylisted(pool()).state;
        const second = greylisted(first).state;
        expect(second.pin?.tries).toBe(2);
        expect(greylisted(second).state.pin).toBeUndefined();
    });

    it('counts anew when it was greylisted from another address', () => {
        const state = pool({ pin: { address: '192.0.2.77', family: 'ipv4', mx: 'mx.example', tries: 2 } });
        expect(greylisted(state).state.pin).toMatchObject({ address: '192.0.2.1', tries: 1 });
    });

    it('never goes to the relay: at the end of the schedule it bounces', () => {
        expect(greylisted(pool(), { deferred: 3 }).verdict.action).toBe('bounce');
    });

    it('lets go of the address when that address is refused for its reputation', () => {
        const state = pool({ pin: { address: '192.0.2.1', family: 'ipv4', mx: 'mx.example', tries: 1 } });
        expect(after({ class: 'ip-reputation' }, { state }).state.pin).toBeUndefined();
    });
});

describe('an MX that cannot be reached (network)', () => {
    it("is ZoneMTA's to retry, however long it lasts", () => {
        const state = pool({ attempts: [attempt({ class: 'network', code: 0 }, NOW - 40 * HOUR)] });
        expect(after({ class: 'network', code: 0 }, { state }).verdict.action).toBe('core');
    });

    it('is left for another address while others of ours get through, up to `attempts`', () => {
        const reroute = after({ class: 'network', code: 0 }, { othersReach: true });
        expect(reroute.verdict).toMatchObject({ action: 'reroute', reason: 'others of our addresses get through' });
        expect(after({ class: 'network', code: 0 }, { othersReach: true, state: pool({ reroutes: 4 }) }).verdict.action).toBe('core');
        expect(after({ class: 'network', code: 0 }, { othersReach: true, left: 'none' }).verdict.action).toBe('core');
        expect(after({ class: 'network', code: 0 }, { othersReach: true, brake: 'spent' }).verdict.action).toBe('core');
    });

    it('goes to the relay only with an explicit relayAfter', () => {
        const settings = { ...SETTINGS, relayAfter: { network: 6 * HOUR } };
        const since = (age: number) => ({ settings, state: pool({ attempts: [attempt({ class: 'network', code: 0 }, NOW - age)] }) });
        expect(after({ class: 'network', code: 0 }, since(5 * HOUR)).verdict.action).toBe('core');
        expect(after({ class: 'network', code: 0 }, since(6 * HOUR)).verdict).toMatchObject(toRelay);
    });
});

describe('all other classes', () => {
    const others = REPLY_CLASSES.filter(name => !['ip-reputation', 'ip-rate', 'ip-ptr', 'greylist', 'network'].includes(name));

    it.each(others)('%s: ZoneMTA decides, never another address and never the relay', name => {
        for (const code of [0, 421, 450, 550, 554]) {
            const decision = after({ class: name, code, scope: 'provider' }, { state: pool({ reroutes: 1 }) });
            expect(decision).toEqual({ verdict: { action: 'core', reason: `another address would not help: ${name}` }, state: pool({ reroutes: 1 }) });
        }
        expect(RELAYABLE.has(name)).toBe(false);
    });
});

describe('the brake on reroutes', () => {
    it.each([
        ['spent', 'over the reroute budget'],
        ['off', 'rerouting is switched off']
    ] as const)('%s: a refusal follows the schedule, final or not', (brake, reason) => {
        for (const code of [421, 554]) {
            expect(after({ class: 'ip-reputation', code }, { brake }).verdict).toEqual({ action: 'defer', delay: 5 * MINUTE, reason });
        }
    });

    it('has the relay at its end', () => {
        expect(after({ class: 'ip-reputation' }, { brake: 'spent', deferred: 3 }).verdict).toMatchObject(toRelay);
        expect(after({ class: 'ip-rate' }, { brake: 'off', deferred: 3 }).verdict).toMatchObject(toRelay);
    });

    it('does not hold up what had no reroute left anyway', () => {
        expect(after({ class: 'ip-reputation' }, { brake: 'off', left: 'none' }).verdict).toMatchObject(toRelay);
        expect(after({ class: 'ip-reputation', scope: 'provider', code: 554 }, { brake: 'spent' }).verdict).toMatchObject(toRelay);
    });
});

describe('with the relay switched off', () => {
    it.each([
        ['a refused address', { class: 'ip-reputation', code: 554 }, { left: 'none' }],
        ['a refusal by the provider as a whole', { class: 'ip-reputation', code: 554, scope: 'provider' }, {}],
        ['a PTR', { class: 'ip-ptr', code: 550 }, { state: pool({ reroutes: 1 }) }],
        ['a limit that lasts', { class: 'ip-rate', code: 550 }, { state: pool({ reroutes: 1, attempts: [attempt({ class: 'ip-rate' }, NOW - 3 * HOUR)] }) }]
    ] as const)('%s follows the schedule instead of bouncing', (_name, refusal, changes) => {
        expect(after(refusal, { ...changes, relayOff: true, deferred: 1 }).verdict).toMatchObject({ action: 'defer', delay: 7 * MINUTE });
    });

    it('an unreachable MX stays on the schedule', () => {
        const settings = { ...SETTINGS, relayAfter: { network: 0 } };
        expect(['core', 'defer']).toContain(after({ class: 'network', code: 0 }, { settings, relayOff: true }).verdict.action);
        expect(after({ class: 'network', code: 0 }, { settings, relayOff: true, deferred: 3 }).verdict.action).toBe('core');
    });

    it('what was handed over before goes on at the relay', () => {
        expect(after({ class: 'network', code: 0 }, { state: atRelay(), relayOff: true }).verdict).toMatchObject({ action: 'relay', zone: 'second-relay' });
    });
});

describe('at the relay', () => {
    it.each(REPLY_CLASSES.filter(name => !['relay-denied', 'sender', 'ip-reputation', 'ip-rate', 'ip-ptr'].includes(name)))(
        'a final refusal of the message is the end: %s',
        name => {
            expect(after({ class: name, code: 550 }, { state: atRelay() }).verdict).toEqual({ action: 'bounce', reason: 'refused by the relay' });
        }
    );

    it.each([
        ['a refused login', { class: 'other', code: 535, stage: 'auth' }],
        ['an account that was suspended', { class: 'other', code: 554, stage: 'greeting' }],
        ['a sender that we may not use', { class: 'sender', code: 550 }],
        ['a denied relay', { class: 'relay-denied', code: 554 }],
        ['our own address on a list', { class: 'ip-reputation', code: 554 }]
    ] as const)("%s is never the customer's bounce: the next relay is asked", (_name, refusal) => {
        expect(after(refusal, { state: atRelay() }).verdict).toEqual({ action: 'relay', zone: 'second-relay', delay: SECOND, fresh: false, reason: 'our account at the relay' });
    });

    it('a relay that cannot be reached is followed by the next one', () => {
        expect(after({ class: 'network', code: 0 }, { state: atRelay() }).verdict).toMatchObject({ action: 'relay', zone: 'second-relay' });
    });

    it('after the last relay it waits for its time in the schedule and begins with the first', () => {
        const situation = { state: atRelay(), zone: 'second-relay', deferred: 1 };
        expect(after({ class: 'network', code: 0 }, situation).verdict).toMatchObject({ action: 'relay', zone: 'relay', delay: 7 * MINUTE, fresh: false });
    });

    it('with one relay it waits there', () => {
        const situation = { state: atRelay(), relays: ['relay'] };
        expect(after({ class: 'other', code: 535, stage: 'auth' }, situation).verdict).toMatchObject({ action: 'defer', delay: 5 * MINUTE });
    });

    it('a temporary refusal of the message waits at the same relay', () => {
        expect(after({ class: 'greylist', code: 451 }, { state: atRelay() }).verdict).toMatchObject({ action: 'defer', delay: 5 * MINUTE, reason: 'the relay is not ready' });
    });

    it('goes on waiting with the last step when the schedule is used up', () => {
        expect(after({ class: 'greylist', code: 451 }, { state: atRelay(), deferred: 50 }).verdict).toMatchObject({ action: 'defer', delay: 8 * MINUTE });
    });

    it('tries once more exactly when its time is over, and not later', () => {
        const state = atRelay({ until: NOW + 2 * MINUTE });
        expect(after({ class: 'greylist', code: 451 }, { state }).verdict).toMatchObject({ action: 'defer', delay: 2 * MINUTE });
    });

    it('ends when the time at the relay is over, whatever the answer', () => {
        for (const refusal of [{ class: 'greylist', code: 451 }, { class: 'other', code: 535, stage: 'auth' }, { class: 'network', code: 0 }] as const) {
            expect(after(refusal, { state: atRelay({ until: NOW }) }).verdict).toEqual({ action: 'bounce', reason: 'the time at the relay is over' });
        }
    });
});

describe('a delivery that finds all addresses suspended', () => {
    it('goes to the relay at once', () => {
        expect(after({ class: 'ip-reputation', code: 0 }, { left: 'suspended', held: 'final' }).verdict).toMatchObject(toRelay);
    });

    it('by limits only, or by a provider that refuses for now, goes there after relayAfter of ip-rate', () => {
        const late = attempt({ class: 'ip-rate', code: 421 });
        expect(after({ class: 'ip-rate', code: 0 }, { left: 'suspended', held: 'temporary' }).verdict.action).toBe('defer');
        expect(after({ class: 'ip-rate', code: 0 }, { left: 'suspended', held: 'temporary', state: pool({ attempts: [{ ...late, at: NOW - 3 * HOUR }] }) }).verdict).toMatchObject(toRelay);
    });

    it('waits on the schedule without a relay, or with the relay switched off', () => {
        expect(after({ class: 'ip-reputation', code: 0 }, { left: 'suspended', held: 'final', relays: [] }).verdict).toMatchObject({ action: 'defer', reason: 'all addresses are suspended there' });
        expect(after({ class: 'ip-reputation', code: 0 }, { left: 'suspended', held: 'final', relayOff: true }).verdict).toMatchObject({ action: 'defer' });
    });
});

describe('a refusal with only suspended addresses left', () => {
    it('goes to the relay, and waits for them where there is none, a 5xx too', () => {
        expect(after({ class: 'ip-reputation', code: 554 }, { left: 'suspended' }).verdict).toMatchObject(toRelay);
        expect(after({ class: 'ip-reputation', code: 554 }, { left: 'suspended', relays: [] }).verdict).toMatchObject({ action: 'defer', reason: 'the other addresses are suspended' });
    });
});

describe('what a refusal suspends', () => {
    const blamed = (replyClass: ReplyClass, scope: Scope, rateAbout?: RateAbout) => blamedBy({ class: replyClass, ipRelated: true, scope, rule: 'a-rule', hints: rateAbout ? { rateAbout } : {} });

    it('is what the reply blames; a list of the whole world means the address', () => {
        expect(blamed('ip-reputation', 'address')).toEqual({ class: 'ip-reputation', scope: 'address' });
        expect(blamed('ip-reputation', 'subnet')).toEqual({ class: 'ip-reputation', scope: 'subnet' });
        expect(blamed('ip-ptr', 'family')).toEqual({ class: 'ip-ptr', scope: 'family' });
        expect(blamed('ip-reputation', 'provider')).toEqual({ class: 'ip-reputation', scope: 'provider' });
        expect(blamed('ip-reputation', 'global')).toEqual({ class: 'ip-reputation', scope: 'address' });
    });

    it('is the address that cannot connect while others can', () => {
        const reply = { class: 'network', ipRelated: false, scope: 'none', rule: 'network', hints: {} } as const;
        expect(blamedBy(reply, true)).toEqual({ class: 'network', scope: 'address' });
        expect(blamedBy(reply, false)).toBeUndefined();
    });

    it('is nothing when a limit counts something else, or the address is not to blame', () => {
        expect(blamed('ip-rate', 'address')).toEqual({ class: 'ip-rate', scope: 'address' });
        expect(blamed('ip-rate', 'address', 'complaints')).toBeUndefined();
        for (const replyClass of REPLY_CLASSES.filter(name => !['ip-reputation', 'ip-rate', 'ip-ptr'].includes(name))) {
            expect(blamed(replyClass, 'address')).toBeUndefined();
        }
    });
});
