/**
 * Which of our addresses are suspended at which provider: the words, and the arithmetic that both stores share.
 *
 * A suspension covers a scope: an address, one of its ranges, its family, or everything we have at the provider. One by our own
 * checks holds EVERYWHERE, and lasts until they pass. The life of the others:
 * struck → suspended until its cool-down is over → half-open: one probe delivery at a time → cleared by a success, or struck
 * again for longer. One that nobody probes is forgotten after a day.
 */
import type { Family } from '../delivery/types';

/** Classes of replies that suspend. `network`: connections from the address fail, while others of ours get through. */
export const STRUCK_CLASSES = ['ip-reputation', 'ip-rate', 'ip-ptr', 'network'] as const;

export type StruckClass = (typeof STRUCK_CLASSES)[number];

/** In place of a provider: at all of them. */
export const EVERYWHERE = '*';

export interface Suspension {
    /** Key of the provider, or EVERYWHERE. */
    provider: string;
    /** What is suspended: an address, a range in CIDR notation, `ipv4`, `ipv6` or `provider`. */
    scope: string;
    /** Why: the class of the refusal, `operator`, or `check`: our own look-ups speak against the address. */
    class: StruckClass | 'operator' | 'check';
    /** SMTP code of the refusal. */
    code: number;
    /** Strikes that led to this cool-down. */
    strikes: number;
    /** Time of the last strike, and the end of the cool-down. Unix milliseconds. */
    struck: number;
    until: number;
    /** Half-open: a probe is under way, and nobody else may send one before this time. */
    probing: number;
    /** The reply, or the operator's words. */
    note: string;
}

/** A suspension that came or changed, or (without one) went. */
export interface Change {
    provider: string;
    scope: string;
    suspension: Suspension | null;
}

/** One refusal that blames our address. */
export interface Strike {
    provider: string;
    class: StruckClass;
    code: number;
    note: string;
    /** All that the address belongs to, see `scopesOf`. With the address alone nothing wider is ever suspended. */
    scopes: readonly string[];
    /** Index of the scope that the reply blames. */
    base: number;
    /** Id of the message: refusals of a single message never widen a suspension. */
    message: string;
    /** When mail from each scope was last accepted there, as far as this process knows; 0: never. */
    accepted: readonly number[];
    /** For each scope: is more from there still under way than was refused? Then the refusal says nothing of it yet. */
    undecided: readonly boolean[];
    /** How long the reply asks to wait, ms. */
    retryAfter: number;
    /** Whose cool-down counts, when it is not that of the class. */
    coolDownOf?: StruckClass;
    now: number;
}

/** An accepted delivery. */
export interface Success {
    provider: string;
    scopes: readonly string[];
    /** When the delivery began: a strike that came later is not undone by it. */
    startedAt: number;
    now: number;
}

/** ms; `factor` lengthens each further cool-down up to `maximum`. */
export interface CoolDown {
    first: number;
    factor: number;
    maximum: number;
}

export interface HealthLimits {
    coolDown: Readonly<Record<StruckClass, CoolDown>>;
    /** Refusals in how many different parts of a range suspend it. */
    rangeAfter: number;
}

/** One contract, two stores (test/contract/health.test.ts): memory, and Redis for all processes and hosts. */
export interface HealthStore {
    /** Suspends the blamed scope, and wider ones that have enough struck parts. Strikes of one event count once. */
    strike(strike: Strike): Promise<Change[]>;
    /** Clears what was struck before the delivery began. */
    succeed(success: Success): Promise<Change[]>;
    /** Asks for the one probe of all half-open suspensions among `scopes`. */
    claimProbe(provider: string, scopes: readonly string[], now: number): Promise<Change[] | undefined>;
    /** Asks for the one delivery an interval that goes out although everything is suspended. */
    takeTurn(provider: string, now: number): Promise<boolean>;
    /** Sets a suspension as it is. */
    put(suspension: Suspension): Promise<Change[]>;
    /** Ends a suspension, and forgets its strikes. */
    lift(provider: string, scope: string): Promise<Change[]>;
    /** All that is suspended or half-open. */
    snapshot(now: number): Promise<Suspension[]>;
}

const MINUTE = 60_000;

/** Strikes for the same scope and class within this time are one event: deliveries that were under way together. */
export const SAME_EVENT = 30_000;
/** How long refusals in parts of a range are counted. */
export const WIDENING_WINDOW = 10 * MINUTE;
/** A probe that has told nothing for so long is taken for lost. */
export const PROBE_TIME = 2 * MINUTE;
/** Where everything is suspended, one delivery is tried in this time. */
export const TURN_INTERVAL = 5 * MINUTE;
/** A half-open suspension that nobody has probed is forgotten after this time. */
export const FORGOTTEN_AFTER = 24 * 60 * MINUTE;

/** Where an address belongs. */
export interface Place {
    address: string;
    family: Family;
    /** Narrowest first. */
    ranges: readonly string[];
}

/** The scopes of an address, the narrowest first: address, ranges, family, provider. */
export function scopesOf({ address, ranges, family }: Place): string[] {
    return [address, ...ranges, family, 'provider'];
}

/** Is the cool-down still running? */
export function isRunning(suspension: Suspension, now: number): boolean {
    return now < suspension.until;
}

/** Has it been over for so long that it counts no more? What no refusal has struck simply ends. */
export function isForgotten(suspension: Suspension, now: number): boolean {
    return now >= suspension.until + (STRUCK_CLASSES.some(name => name === suspension.class) ? FORGOTTEN_AFTER : 0);
}

/** The cool-down after `strikes` earlier ones; what the reply itself asks for is honoured up to the maximum. */
export function coolDownAfter({ first, factor, maximum }: CoolDown, strikes: number, retryAfter: number): number {
    return Math.round(Math.max(Math.min(first * factor ** strikes, maximum), Math.min(retryAfter, maximum)));
}

/** Refused parts that make a range suspended: twice as many where mail from it was accepted a short while ago. */
export function partsNeeded(rangeAfter: number, accepted: number, now: number): number {
    return accepted > now - WIDENING_WINDOW ? 2 * rangeAfter : rangeAfter;
}

/** Has two families at most. */
export function partsOfProvider(rangeAfter: number): number {
    return Math.min(2, rangeAfter);
}
