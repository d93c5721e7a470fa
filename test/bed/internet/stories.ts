import type { LedgerEntry } from './ledger';
import type { RecipientReport } from './reports';
import type { SinkMail } from './sink';

/** What can become of a message. */
export type Outcome = 'deliver' | 'relay' | 'bounce' | 'refuse';

/**
 * A message as the test sent it, to one recipient whom no other message goes to: refusals before DATA show no test id,
 * so the recipient is what ties them to the message.
 */
export interface SentMessage {
    /** Its X-Test-Id. */
    testId: string;
    from: string;
    to: string;
    /** The destination's domain. */
    destination: string;
    kind: 'clean' | 'gtube' | 'eicar';
    expect: Outcome;
    /** When submission accepted it, or refused it. Unix milliseconds. */
    at: number;
    /** Whether the relay may see it. Without a word: if some clean message to the same destination is expected to be relayed. */
    mayRelay?: boolean;
    /** The reply, when it was refused at submission already. */
    refusedAtSubmission?: string;
}

/** The letters' parts that count. */
export type ReportMail = Pick<SinkMail, 'at' | 'writer' | 'reports' | 'failedRecipients' | 'testId'>;

/** What the ledgers are asked about. */
export interface Books {
    sent: readonly SentMessage[];
    farm: readonly LedgerEntry[];
    relay: readonly LedgerEntry[];
    sink: readonly ReportMail[];
    /** When the sending began. Unix milliseconds. */
    startedAt: number;
}

/** All that is known of one message. */
export interface Story {
    message: SentMessage;
    /** What became of it, the best first; several where the books contradict each other, none when it is lost. */
    outcomes: readonly Outcome[];
    /** Attempts at the farm that can be tied to it, in order. */
    attempts: readonly LedgerEntry[];
    /** Its first acceptance by the farm. */
    delivery: LedgerEntry | undefined;
    /** When it was first refused: known, or for refusals without a recipient estimated (see `assignUntied`). */
    firstRefusedAt: number | undefined;
    /** Refused first and then delivered, from another address or from the same. */
    way: 'first-attempt' | 'rerouted' | 'retried' | undefined;
    /** `firstRefusedAt` is an estimate. */
    estimated: boolean;
    atRelay: readonly LedgerEntry[];
    /** ZoneMTA's failure reports about its recipient. */
    failureReports: number;
}

/** One recipient's report in one letter. */
export interface Notice extends RecipientReport {
    mail: ReportMail;
}

/** Reports of one writer with one action; where a letter has none, X-Failed-Recipients stands in for a failure. */
export function noticesOf(mails: readonly ReportMail[], writer: SinkMail['writer'], action: string): readonly Notice[] {
    return mails
        .filter(mail => mail.writer === writer)
        .flatMap(mail => {
            const bare = mail.failedRecipients.map(finalRecipient => ({ finalRecipient, action: 'failed', status: '', diagnostic: '', remoteMta: '' }));
            const reports = mail.reports.length > 0 ? mail.reports : bare;
            return reports.filter(report => report.action === action).map(report => ({ ...report, mail }));
        });
}

/** A refused or abandoned attempt of which nobody knows whose it was. */
export function isUntied(entry: LedgerEntry): boolean {
    return !entry.accepted && entry.to === '';
}

/** Tells the story of every message. */
export function tellStories(books: Books): readonly Story[] {
    const farm = groupBy(books.farm, entry => entry.to.toLowerCase());
    const relay = groupBy(books.relay, entry => entry.to.toLowerCase());
    const failures = groupBy(noticesOf(books.sink, 'zonemta', 'failed'), notice => notice.finalRecipient);
    const refused = noticesOf(books.sink, 'postfix', 'failed');
    const refusedIds = new Set(refused.map(notice => notice.mail.testId).filter(Boolean));
    const refusedRecipients = new Set(refused.map(notice => notice.finalRecipient));

    const stories = books.sent.map((message): Story => {
        const to = message.to.toLowerCase();
        const its = (entry: LedgerEntry) => entry.messageId === '' || entry.messageId === message.testId;
        const attempts = inOrder((farm.get(to) ?? []).filter(its));
        const delivery = attempts.find(entry => entry.accepted);
        const atRelay = inOrder((relay.get(to) ?? []).filter(its));
        const failureReports = failures.get(to)?.length ?? 0;
        const outcomes: Outcome[] = [];
        if (delivery) {
            outcomes.push('deliver');
        }
        if (atRelay.some(entry => entry.accepted)) {
            outcomes.push('relay');
        }
        if (failureReports > 0) {
            outcomes.push('bounce');
        }
        if (message.refusedAtSubmission !== undefined || refusedIds.has(message.testId) || refusedRecipients.has(to)) {
            outcomes.push('refuse');
        }
        return { message, outcomes, attempts, delivery, atRelay, failureReports, estimated: false, ...wayOf(attempts, delivery) };
    });
    assignUntied(stories, books.farm.filter(isUntied));
    return stories;
}

function wayOf(attempts: readonly LedgerEntry[], delivery: LedgerEntry | undefined): Pick<Story, 'firstRefusedAt' | 'way'> {
    const [first] = attempts;
    const firstRefusedAt = first && !first.accepted ? first.at : undefined;
    if (!first || !delivery) {
        return { firstRefusedAt, way: undefined };
    }
    if (firstRefusedAt === undefined) {
        return { firstRefusedAt, way: 'first-attempt' };
    }
    return { firstRefusedAt, way: delivery.client === first.client ? 'retried' : 'rerouted' };
}

/**
 * A greeting or MAIL that is refused names no recipient. So which of a destination's messages it hit is estimated, to
 * our disadvantage: each such refusal counts for a message of its own, of those that were under way then the ones that
 * took longest, and the time runs from submission, queueing included.
 */
function assignUntied(stories: readonly Story[], untied: readonly LedgerEntry[]): void {
    for (const [destination, refusals] of groupBy(untied, entry => entry.domain)) {
        const candidates = stories.filter(
            ({ message, delivery, way }) =>
                message.destination === destination &&
                way === 'first-attempt' &&
                refusals.some(({ at, from }) => (from === '' || from === message.from) && at >= message.at && at <= (delivery?.at ?? 0))
        );
        const slowestFirst = candidates.sort((one, other) => underWay(other) - underWay(one));
        for (const story of slowestFirst.slice(0, refusals.length)) {
            story.firstRefusedAt = story.message.at;
            story.way = 'rerouted';
            story.estimated = true;
        }
    }
}

function underWay({ message, delivery }: Story): number {
    return (delivery?.at ?? message.at) - message.at;
}

function inOrder(entries: readonly LedgerEntry[]): readonly LedgerEntry[] {
    return [...entries].sort((one, other) => one.at - other.at);
}

/** Groups, in the order of their first members. */
export function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
    const groups = new Map<string, T[]>();
    for (const item of items) {
        const key = keyOf(item);
        const group = groups.get(key);
        if (group) {
            group.push(item);
        } else {
            groups.set(key, [item]);
        }
    }
    return groups;
}
