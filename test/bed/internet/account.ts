import { GREYLIST } from './behaviours';
import type { LedgerEntry } from './ledger';
import { groupBy, isUntied, noticesOf, tellStories, type Books, type Outcome, type Story } from './stories';

export type { Books, Outcome, SentMessage } from './stories';

/** Seconds, by nearest rank; null where there is nothing to rank. */
export interface Percentiles {
    p50: number | null;
    p99: number | null;
}

/**
 * What became of some messages. Each counts once, by the best that happened to it, so that `messages` is the sum of
 * `delivered`, `relayed`, `bounced`, the rejected ones and `lost`.
 */
export interface Tally {
    messages: number;
    rejectedSpam: number;
    rejectedVirus: number;
    /** Clean messages that were refused at submission. There should be none. */
    rejectedClean: number;
    /** Accepted by the farm: `firstAttempt` + `rerouted` + `retried`. */
    delivered: number;
    firstAttempt: number;
    /** Delivered from another address than the one first refused. */
    rerouted: number;
    /** Delivered from the very address that was put off first, as greylisting wants it. */
    retried: number;
    /** Accepted by the relay. */
    relayed: number;
    /** Neither, and the sender was told so. */
    bounced: number;
    /** Nobody took it, and nobody was told. */
    lost: number;
    /** Source addresses seen by the farm. */
    distinctAddresses: number;
    /** Attempts that the delivered messages took, over their number. */
    attemptsPerDelivered: number;
    /** First refusal to delivery of the rerouted messages; those whose first refusal is only estimated are left out. */
    rescueSeconds: Percentiles;
}

/** One row of the table. */
export interface DestinationRow extends Tally {
    destination: string;
    /** All attempts at it, in vain or not. */
    attempts: number;
}

/** The account of a run, from what the farm, the relay and the senders' mailbox saw. */
export interface Summary extends Tally {
    /** Messages accepted more than once, over farm and relay together. */
    duplicated: number;
    /** Messages that the relay saw and should not have. */
    relayMisuse: number;
    /** Failure reports over bounced recipients: 1 when exact. */
    dsnPerBounced: number;
    delayNotices: number;
    /** Of the greylisted messages those that got through from the address that was greylisted first. */
    greylistKept: { kept: number; total: number };
    /** From the start to the last thing seen. */
    wallSeconds: number;
    destinations: readonly DestinationRow[];
    /** A line for every message that did not fare as it should; for people. */
    faults: readonly string[];
}

/** Adds up the books. Nothing here asks the software under test. */
export function account(books: Books): Summary {
    const stories = tellStories(books);
    const untied = groupBy(books.farm.filter(isUntied), entry => entry.domain);
    const bounced = stories.filter(({ outcomes }) => outcomes[0] === 'bounce').length;
    const failures = noticesOf(books.sink, 'zonemta', 'failed');
    const duplicates = duplicatesIn([...books.farm, ...books.relay]);
    const misused = misusedIn(books, stories);
    const lastAt = [...books.farm, ...books.relay, ...books.sink].reduce((last, { at }) => Math.max(last, at), books.startedAt);
    return {
        ...tally(stories, books.farm, untied),
        duplicated: duplicates.length,
        relayMisuse: misused.length,
        dsnPerBounced: bounced > 0 ? failures.length / bounced : failures.length || 1,
        delayNotices: noticesOf(books.sink, 'zonemta', 'delayed').length,
        greylistKept: greylistKept(stories),
        wallSeconds: (lastAt - books.startedAt) / 1000,
        destinations: rows(books, stories, untied),
        faults: [
            ...stories.flatMap(faultOf),
            ...duplicates.map(name => `accepted more than once: ${name}`),
            ...misused.map(to => `had no business at the relay: ${to}`),
            ...strangersIn(books).map(name => `accepted, but never sent: ${name}`)
        ]
    };
}

function tally(stories: readonly Story[], farm: readonly LedgerEntry[], untied: ReadonlyMap<string, readonly LedgerEntry[]>): Tally {
    const by = (outcome: Outcome | undefined) => stories.filter(({ outcomes }) => outcomes[0] === outcome);
    const refused = (kind: string) => by('refuse').filter(({ message }) => message.kind === kind).length;
    const delivered = by('deliver');
    const rerouted = delivered.filter(({ way }) => way === 'rerouted');
    const attempts = delivered.reduce((sum, story) => sum + story.attempts.length, 0) + untiedAttempts(delivered, untied);
    return {
        messages: stories.length,
        rejectedSpam: refused('gtube'),
        rejectedVirus: refused('eicar'),
        rejectedClean: refused('clean'),
        delivered: delivered.length,
        firstAttempt: delivered.filter(({ way }) => way === 'first-attempt').length,
        rerouted: rerouted.length,
        retried: delivered.filter(({ way }) => way === 'retried').length,
        relayed: by('relay').length,
        bounced: by('bounce').length,
        lost: by(undefined).length,
        distinctAddresses: new Set(farm.map(({ client }) => client)).size,
        attemptsPerDelivered: delivered.length > 0 ? attempts / delivered.length : 0,
        rescueSeconds: percentiles(rerouted.filter(({ estimated }) => !estimated).map(({ delivery, firstRefusedAt }) => ((delivery?.at ?? 0) - (firstRefusedAt ?? 0)) / 1000))
    };
}

/** Attempts without a recipient are put to the account of the messages that did arrive there. */
function untiedAttempts(delivered: readonly Story[], untied: ReadonlyMap<string, readonly LedgerEntry[]>): number {
    const destinations = new Set(delivered.map(({ message }) => message.destination));
    return [...destinations].reduce((sum, destination) => sum + (untied.get(destination)?.length ?? 0), 0);
}

function rows(books: Books, stories: readonly Story[], untied: ReadonlyMap<string, readonly LedgerEntry[]>): readonly DestinationRow[] {
    const farm = groupBy(books.farm, entry => entry.domain);
    return [...groupBy(stories, ({ message }) => message.destination)].map(([destination, its]) => {
        const entries = farm.get(destination) ?? [];
        return { destination, ...tally(its, entries, untied), attempts: entries.length };
    });
}

/** Test id and recipient of what was accepted more than once. */
function duplicatesIn(entries: readonly LedgerEntry[]): readonly string[] {
    const accepted = groupBy(entries.filter(entry => entry.accepted), nameOf);
    return [...accepted].filter(([, copies]) => copies.length > 1).map(([name]) => name);
}

/** Recipients that the relay was asked for, taken or not, without a right to it. */
function misusedIn(books: Books, stories: readonly Story[]): readonly string[] {
    const relayed = new Set(books.sent.filter(isForRelay).map(({ destination }) => destination));
    const entitled = stories
        .map(({ message }) => message)
        .filter(({ kind, destination, mayRelay }) => mayRelay ?? (kind === 'clean' && relayed.has(destination)))
        .map(({ to }) => to.toLowerCase());
    const rightful = new Set(entitled);
    const seen = new Set(books.relay.map(({ to }) => to.toLowerCase()).filter(Boolean));
    return [...seen].filter(to => !rightful.has(to));
}

function isForRelay({ kind, expect }: Books['sent'][number]): boolean {
    return kind === 'clean' && expect === 'relay';
}

function strangersIn(books: Books): readonly string[] {
    const sent = new Set(books.sent.map(({ testId, to }) => `${testId} to ${to.toLowerCase()}`));
    const accepted = [...books.farm, ...books.relay].filter(entry => entry.accepted).map(nameOf);
    return [...new Set(accepted)].filter(name => !sent.has(name));
}

function nameOf({ messageId, to }: LedgerEntry): string {
    return `${messageId} to ${to.toLowerCase()}`;
}

function greylistKept(stories: readonly Story[]): { kept: number; total: number } {
    const greylisted = stories.flatMap(({ attempts, delivery }) => {
        const first = attempts.find(({ by }) => by === GREYLIST);
        return first ? [{ kept: delivery?.client === first.client }] : [];
    });
    return { kept: greylisted.filter(({ kept }) => kept).length, total: greylisted.length };
}

function faultOf({ message, outcomes, atRelay, failureReports }: Story): readonly string[] {
    const name = `${message.testId} to ${message.to}`;
    const faults = failureReports > 1 ? [`${failureReports} failure reports: ${name}`] : [];
    if (outcomes.length === 0) {
        return [...faults, `lost: ${name}`];
    }
    // What the relay has refused for good ends in a bounce, rightly so.
    const rightful: Outcome[] = [message.expect];
    if (message.mayRelay) {
        rightful.push('relay');
        if (atRelay.some(({ code }) => code >= 500)) {
            rightful.push('bounce');
        }
    }
    const [outcome] = outcomes;
    const asExpected = outcomes.length === 1 && outcome !== undefined && rightful.includes(outcome);
    return asExpected ? faults : [...faults, `expected to ${message.expect}, came to ${outcomes.join(' and ')}: ${name}`];
}

function percentiles(values: readonly number[]): Percentiles {
    const sorted = [...values].sort((one, other) => one - other);
    const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
    return { p50: rank(0.5), p99: rank(0.99) };
}
