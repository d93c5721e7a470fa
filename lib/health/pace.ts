/**
 * How quickly mail may go to a provider: the words, and the arithmetic that both stores share.
 *
 * A pace is kept in lanes: one for the whole pool, one for each source address, and one more for the day of an address in
 * warm-up. A lane hands out slots one spacing apart (GCRA, the leaky bucket of ITU-T I.371 as a meter). A slot that was not used at
 * its time may be used for a tenth of the window more, and the spacing is longer by that tenth: so no window, wherever it
 * begins, holds more than the limit, whoever comes when.
 *
 * Beside it each lane has a line. A delivery that finds no slot is told when its turn will be, one spacing after the turn of the
 * one before, and who comes later stands behind. A turn is a time to come back, not a right: the slots alone decide who goes.
 */

/** Messages a minute, and deliveries under way at the same time. */
export interface Limit {
    messages: number;
    connections?: number | undefined;
}

/** Of each source address, and of all together. Without one there is no limit. */
export interface Pace {
    address?: Limit | undefined;
    pool?: Limit | undefined;
}

/** An address that a delivery could leave from. */
export interface Candidate {
    address: string;
    /** Messages a day to this provider, while the address is in warm-up. */
    perDay?: number | undefined;
}

export interface SlotRequest {
    provider: string;
    pace: Pace;
    /** Who asks: the deliveries under way are counted by it. */
    delivery: string;
    /** In the order of preference; never empty. */
    candidates: readonly Candidate[];
    /** More addresses can be offered when none of these has a slot. */
    more: boolean;
    /** It has stood in the line, and its turn has come. */
    waited: boolean;
    now: number;
}

/** A candidate that has no slot, and until when. */
export interface Full {
    address: string;
    until: number;
}

export type Slot =
    | { kind: 'go'; address: string; full: readonly Full[] }
    /** Nothing is free now: it has its turn at this time, in the line of this address; empty: in that of the pool. */
    | { kind: 'wait'; at: number; address: string; full: readonly Full[] }
    /** None of these candidates is free: others are to be offered. */
    | { kind: 'more'; full: readonly Full[] };

/** What is known of the pace at a provider. */
export interface PaceState {
    provider: string;
    /** Share of the configured pace that holds now, 0..1: lowered by refusals. */
    share: number;
    /** Messages that went out in the last minute, in steps of ten seconds. */
    used: number;
    /** How long the pool's line is, ms. */
    line: number;
}

/** One contract, two stores (test/contract/pace.test.ts): memory, and Redis for all processes and hosts. */
export interface PaceStore {
    /** Asks for a slot, and takes it: the pool's, and that of the first candidate that has one. */
    ask(request: SlotRequest): Promise<Slot>;
    /** The delivery is no longer under way. */
    release(provider: string, address: string, delivery: string): Promise<void>;
    /** A limit was met: half the pace from now on. Resolves with the share, undefined when that was done for the same event. */
    lower(provider: string, now: number): Promise<number | undefined>;
    /** Providers that got mail in the last minute, or whose pace is lowered. */
    states(now: number): Promise<PaceState[]>;
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const LATE = 0.1;

/** How long after its time a slot may still be used, ms. */
export const SLACK = { minute: LATE * MINUTE, day: LATE * DAY };
/** Nobody is told to come back later than after this time, ms: a line may move faster than it did. */
export const LONGEST_WAIT = 60 * MINUTE;
/** Where too many deliveries are under way, the next one asks again after this time, ms. */
export const CONNECTION_WAIT = 5000;
/** A delivery that has not ended after this time is no longer counted as under way, ms. */
export const LEASE = 10 * MINUTE;
/** A lowered pace grows back evenly, from nothing to the whole in this time, ms. */
export const GROWTH_TIME = 120 * MINUTE;
export const LOWEST_SHARE = 1 / 16;
/** What goes out is counted in steps of this many ms, and so many of them make a minute. */
export const STEP = 10_000;
export const STEPS = 6;

/** Does a delivery have to be released when it ends? */
export function countsConnections({ address, pool }: Pace): boolean {
    return (address?.connections ?? pool?.connections) !== undefined;
}

/** Time between two slots, ms: a window and its slack hold no more slots than the limit. */
export function spacingOf(limit: number, window: 'minute' | 'day'): number {
    return ((1 + LATE) * (window === 'minute' ? MINUTE : DAY)) / limit;
}

/** Share of the pace that holds now, after it was lowered to `share` at the time `since`. */
export function grown(share: number, since: number, now: number): number {
    return Math.min(1, share + Math.max(0, now - since) / GROWTH_TIME);
}

/**
 * When a delivery that has its turn at `at` comes back, from now. Turns are one after another, only those that are cut at the longest
 * wait fall together, and are strewn.
 */
export function waitOf(at: number, now: number, random: () => number): number {
    const wait = Math.max(0, at - now);
    return Math.ceil(wait < LONGEST_WAIT ? wait : wait * (1 - random() / 2));
}
