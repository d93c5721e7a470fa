/**
 * What a refusal means for a delivery: the one place where that is decided, with one caller (lib/process/refusal.ts).
 * Pure: clock and random source are handed in.
 *
 * In the pool:
 *
 * | class          | verdict                                                        | relay                            |
 * |----------------|----------------------------------------------------------------|----------------------------------|
 * | ip-reputation  | reroute, up to `attempts`                                      | after the last attempt; at once when the provider as a whole refuses (a 4xx: after relayAfter of ip-rate) |
 * | ip-rate        | one other address, then the schedule                           | after relayAfter                 |
 * | ip-rate about complaints, the domain, the sender, URLs | core                   | never                            |
 * | ip-ptr         | reroute once                                                   | after that attempt               |
 * | greylist       | the same address, the schedule; another one after two tries    | never                            |
 * | network        | with evidence that others of ours get through: reroute, up to `attempts`; else core | only with an explicit relayAfter |
 * | all others     | core                                                           | never                            |
 *
 * What each class suspends (blamedBy): ip-reputation, ip-ptr and an ip-rate about our address the scope that the reply blames; network
 * with evidence the address; all others nothing. A delivery that finds all addresses suspended is not tried: it goes to the relay at once (by limits, or a
 * provider's 4xx: after relayAfter of ip-rate), without a relay it follows the schedule.
 *
 * Over the budget, or with rerouting switched off, a refusal follows ZoneMTA's ordinary schedule, and the relay is the end
 * of it. With the relay switched off what belongs there follows the schedule too, so that nothing bounces for a switch.
 *
 * At the relay: a refusal of the message is final at once; a fault of ours (account, address) or of the relay is waited
 * out, on the next relay zone where there is one, until `maxAge`; then the delivery ends.
 */
import type { Attempt, Classification, DeliveryState, Pin, ReplyClass, Stage } from '../delivery/types';
import { STRUCK_CLASSES, type StruckClass } from '../health/suspension';
import type { Left } from '../pool/choose';

export type Verdict =
    /** ZoneMTA decides as if we were not there. */
    | { action: 'core'; reason: string }
    /** Same zone again after `delay` ms, from another address, without using up ZoneMTA's schedule. */
    | { action: 'reroute'; delay: number; reason: string }
    /** Same zone again after `delay` ms, counted in ZoneMTA's schedule. */
    | { action: 'defer'; delay: number; reason: string }
    /** Moves to the relay zone after `delay` ms. `fresh`: ZoneMTA's schedule starts anew there. */
    | { action: 'relay'; zone: string; delay: number; fresh: boolean; reason: string }
    /** The end: ZoneMTA's bounce. */
    | { action: 'bounce'; reason: string };

/**
 * Everything that could be used is suspended at the provider, and this delivery was not let out. `temporary`: by limits, or by
 * a provider that refuses for now.
 */
export type Held = 'final' | 'temporary';

/** May messages be rerouted now? `spent`: over the budget, an alarm; `off`: switched off by the operator. */
export type RerouteBrake = 'free' | 'spent' | 'off';

export interface PolicySettings {
    /** Reroutes besides the first attempt. */
    attempts: number;
    /** Waits before the reroutes, ms; the last one repeats. */
    delays: readonly number[];
    /** How long refusals of a class must have gone on before the relay may take the delivery, ms. */
    relayAfter: Readonly<Partial<Record<ReplyClass, number>>>;
    /** Time at the relay, from the handover to the end, ms. */
    maxAge: number;
}

export interface Situation {
    /** State before this attempt was added. */
    state: DeliveryState;
    attempt: Attempt;
    reply: Classification;
    /** Where in the conversation it was refused. */
    stage: Stage;
    settings: PolicySettings;
    /** Set when it did not connect, and others of our addresses get through now. */
    othersReach?: boolean;
    /** What of the pool it could try next, this attempt counted as tried. */
    left: Left;
    /** Set when there was no attempt at all. */
    held?: Held | undefined;
    brake: RerouteBrake;
    /** Relay zones that may take this delivery, in order; empty when there is none, or it may not be relayed. */
    relays: readonly string[];
    /** The operator has switched the relay off: nothing new is handed over. */
    relayOff: boolean;
    /** Zone of this attempt. */
    zone: string;
    /** ZoneMTA's schedule in ms, and how much of it this delivery has used. */
    schedule: readonly number[];
    deferred: number;
    now: number;
    random: () => number;
}

export interface Decision {
    verdict: Verdict;
    /** State after this attempt and this verdict, without the attempt itself (lib/delivery adds it). */
    state: DeliveryState;
}

/** Classes after which the relay may ever see the delivery. A property test holds the policy to it. */
export const RELAYABLE: ReadonlySet<ReplyClass> = new Set<ReplyClass>(['ip-reputation', 'ip-rate', 'ip-ptr', 'network']);

/** A greylisted delivery comes back this often from the same address before another one is drawn. */
const GREYLIST_TRIES = 2;

const RELAY_SWITCH_DELAY = 1000;
/** Between attempts at the relay when ZoneMTA is configured without a schedule. */
const NO_SCHEDULE_DELAY = 60_000;
const JITTER = 0.2;

/** How many reroutes the class allows in all. */
export function rerouteLimit(reply: Classification, settings: PolicySettings): number {
    switch (reply.class) {
        case 'ip-reputation':
            return reply.scope === 'provider' ? 0 : settings.attempts;
        case 'network':
            return settings.attempts;
        case 'ip-ptr':
            return Math.min(1, settings.attempts);
        case 'ip-rate':
            return isAboutUs(reply) ? Math.min(1, settings.attempts) : 0;
        default:
            return 0;
    }
}

/** Decides what happens to a delivery after a refused attempt. */
export function decide(situation: Situation): Decision {
    if (situation.state.phase === 'relay') {
        return decideAtRelay(situation);
    }
    return situation.held ? decideHeld(situation, situation.held) : decideInPool(situation);
}

/** A part of our pool, from the narrowest to the widest. */
export type Blamed = 'address' | 'subnet' | 'family' | 'provider';

/** What a refusal in the pool suspends; undefined: nothing. `global` is the address too: that it is refused everywhere, DNS has to confirm (lib/process/evidence.ts). */
export function blamedBy(reply: Classification, othersReach = false): { class: StruckClass; scope: Blamed } | undefined {
    const struck = STRUCK_CLASSES.find(name => name === reply.class);
    if (struck === undefined || (struck === 'ip-rate' && !isAboutUs(reply)) || (struck === 'network' && !othersReach)) {
        return undefined;
    }
    const scope = (['subnet', 'family', 'provider'] as const).find(name => name === reply.scope) ?? 'address';
    return { class: struck, scope };
}

/** To the relay at once, or after the time that limits are given; without a relay the schedule, where one delivery an interval is let out. */
function decideHeld(situation: Situation, held: Held): Decision {
    const relayed = held === 'temporary' ? handedOverAfter(situation, 'ip-rate') : handedOver(situation, 'all addresses are suspended there');
    return relayed ?? deferred(situation, 'all addresses are suspended there') ?? ended(situation);
}

function decideInPool(situation: Situation): Decision {
    const { reply, state } = situation;
    switch (reply.class) {
        case 'ip-reputation':
        case 'ip-ptr':
            if (reply.scope === 'provider' && situation.attempt.code < 500) {
                return handedOverAfter(situation, 'ip-rate') ?? deferred(situation, 'the provider refuses for now') ?? ended(situation);
            }
            return rerouted(situation) ?? braked(situation) ?? handedOver(situation, 'no address of ours is accepted') ?? waited(situation) ?? ended(situation);
        case 'ip-rate':
            if (!isAboutUs(reply)) {
                return core(situation, 'the limit is not about our address');
            }
            return rerouted(situation) ?? handedOverAfter(situation, reply.class) ?? deferred(situation, 'rate limit') ?? ended(situation);
        case 'greylist':
            return deferred({ ...situation, state: pinned(situation) }, 'greylisted') ?? { verdict: { action: 'bounce', reason: 'greylisted to the end of the schedule' }, state };
        case 'network':
            return (situation.othersReach ? rerouted(situation) : undefined) ?? handedOverAfter(situation, reply.class) ?? core(situation, 'network');
        default:
            return core(situation, `another address would not help: ${reply.class}`);
    }
}

function decideAtRelay(situation: Situation): Decision {
    const { attempt, state, now } = situation;
    if (now >= (state.until ?? 0)) {
        return { verdict: { action: 'bounce', reason: 'the time at the relay is over' }, state };
    }
    const ours = isFaultOfOurs(situation);
    if (attempt.code >= 500 && !ours) {
        return { verdict: { action: 'bounce', reason: 'refused by the relay' }, state };
    }
    const reason = ours ? 'our account at the relay' : 'the relay is not ready';
    const elsewhere = ours || attempt.code === 0;
    const next = elsewhere ? situation.relays[situation.relays.indexOf(situation.zone) + 1] : undefined;
    if (next !== undefined) {
        return { verdict: { action: 'relay', zone: next, delay: RELAY_SWITCH_DELAY, fresh: false, reason }, state };
    }
    // the last one (or the only one): wait, and begin with the first again
    const delay = Math.min(scheduled(situation) ?? situation.schedule.at(-1) ?? NO_SCHEDULE_DELAY, (state.until ?? now) - now);
    const first = elsewhere ? situation.relays[0] : undefined;
    return {
        verdict: first !== undefined && first !== situation.zone ? { action: 'relay', zone: first, delay, fresh: false, reason } : { action: 'defer', delay, reason },
        state
    };
}

/** A limit that counts our address, or does not say what it counts. */
function isAboutUs(reply: Classification): boolean {
    return reply.hints.rateAbout === undefined || reply.hints.rateAbout === 'address';
}

/** The relay refuses us rather than the message: a matter between the operator and the provider, never the customer's bounce. */
function isFaultOfOurs({ stage, reply, attempt }: Situation): boolean {
    // before MAIL FROM the relay has not heard of any message
    const beforeMail = attempt.code > 0 && ['greeting', 'ehlo', 'tls', 'auth'].includes(stage);
    return beforeMail || ['relay-denied', 'sender', 'ip-reputation', 'ip-rate', 'ip-ptr'].includes(reply.class);
}

function rerouted(situation: Situation): Decision | undefined {
    const { state, settings, reply, random, left, brake } = situation;
    if (brake !== 'free' || left !== 'open' || state.reroutes >= rerouteLimit(reply, settings)) {
        return undefined;
    }
    const base = settings.delays[Math.min(state.reroutes, settings.delays.length - 1)] ?? 0;
    const delay = Math.round(base * (1 - JITTER + 2 * JITTER * random()));
    const { pin: _forgotten, ...rest } = state;
    const reason = reply.class === 'network' ? 'others of our addresses get through' : reply.class;
    return { verdict: { action: 'reroute', delay, reason }, state: { ...rest, reroutes: state.reroutes + 1 } };
}

/** Would be rerouted but for the brake: ZoneMTA's schedule. */
function braked(situation: Situation): Decision | undefined {
    const { state, settings, reply, left, brake } = situation;
    const wanted = left === 'open' && state.reroutes < rerouteLimit(reply, settings);
    return wanted && brake !== 'free' ? deferred(situation, brake === 'spent' ? 'over the reroute budget' : 'rerouting is switched off') : undefined;
}

/** There are addresses left, but they are suspended: they come back. */
function waited(situation: Situation): Decision | undefined {
    const { state, settings, reply, left } = situation;
    return left === 'suspended' && state.reroutes < rerouteLimit(reply, settings) ? deferred(situation, 'the other addresses are suspended') : undefined;
}

/** To the relay when refusals of this class have gone on for the time that the settings give to `patienceOf`. */
function handedOverAfter(situation: Situation, patienceOf: ReplyClass): Decision | undefined {
    const { settings, reply, state, attempt, now } = situation;
    const patience = settings.relayAfter[patienceOf];
    const since = [...state.attempts, attempt].find(earlier => earlier.class === reply.class)?.at ?? now;
    return patience !== undefined && now - since >= patience ? handedOver(situation, `${reply.class} for too long`) : undefined;
}

function handedOver(situation: Situation, reason: string): Decision | undefined {
    const [zone] = situation.relays;
    if (zone === undefined) {
        return undefined;
    }
    if (situation.relayOff) {
        return deferred(situation, 'the relay is switched off');
    }
    const { pin: _forgotten, ...rest } = situation.state;
    return {
        verdict: { action: 'relay', zone, delay: 0, fresh: true, reason },
        state: { ...rest, phase: 'relay', since: situation.now, until: situation.now + situation.settings.maxAge }
    };
}

/** ZoneMTA's schedule, whatever the code says: a 5xx about our address is no word about the recipient. */
function deferred(situation: Situation, reason: string): Decision | undefined {
    const delay = scheduled(situation);
    return delay === undefined ? undefined : { verdict: { action: 'defer', delay, reason }, state: situation.state };
}

/** Nothing left to try: a temporary refusal stays on the schedule, at its end (or for a final one) the delivery bounces. */
function ended(situation: Situation): Decision {
    const temporary = situation.attempt.code < 500 ? deferred(situation, 'no address and no relay left to try') : undefined;
    return (
        temporary ??
        handedOver(situation, 'the schedule is used up') ?? { verdict: { action: 'bounce', reason: 'no address and no relay left to try' }, state: situation.state }
    );
}

function core(situation: Situation, reason: string): Decision {
    return { verdict: { action: 'core', reason }, state: situation.state };
}

function scheduled(situation: Situation): number | undefined {
    return situation.schedule[situation.deferred];
}

function pinned(situation: Situation): DeliveryState {
    const { state, attempt } = situation;
    const tries = (state.pin?.address === attempt.address ? state.pin.tries : 0) + 1;
    const { pin: _old, ...rest } = state;
    if (attempt.family === '' || tries > GREYLIST_TRIES) {
        return rest;
    }
    const pin: Pin = { address: attempt.address, family: attempt.family, mx: attempt.mx, tries };
    return { ...rest, pin };
}
