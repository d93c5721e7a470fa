import { Journal } from './journal';

/** The point of the conversation at which an attempt ended. */
export type Stage = 'greeting' | 'auth' | 'mail' | 'rcpt' | 'data';

/** What a receiving server knows of a client at the moment it has to answer. */
export interface Visit {
    /** Unix time in milliseconds. */
    at: number;
    /** Destination domain; at an external relay the name of the relay. */
    domain: string;
    /** Host name of the server that was talked to. */
    mx: string;
    /** Source address of the client. */
    client: string;
    /** The same for all messages of one connection. */
    connection?: string;
    helo: string;
    /** Over TLS. */
    secure?: boolean;
    from: string;
    to: string;
}

/**
 * One attempt, as the receiving side saw it end: one entry for each recipient that was accepted or refused, one
 * without a recipient where the conversation did not come that far.
 */
export interface LedgerEntry extends Visit {
    /** X-Test-Id of the message, else its Message-ID; empty when no data was seen. */
    messageId: string;
    stage: Stage;
    /** Code of the reply, 0 when there was none (silence, or the connection was lost during DATA). */
    code: number;
    /** The whole reply. */
    reply: string;
    /** Name of the behaviour that refused; empty when accepted. */
    by: string;
    accepted: boolean;
    /** Head of an accepted message, at most MAX_HEADERS characters. */
    headers?: string;
    /** The whole message, where the server was asked to keep it. */
    raw?: Buffer;
}

/** Either the values that entries must have, or a predicate. */
export type LedgerFilter = Partial<LedgerEntry> | ((entry: LedgerEntry) => boolean);

/** The attempts seen by a server or a farm of them. */
export class Ledger extends Journal<LedgerEntry> {
    attempts(filter: LedgerFilter = {}): readonly LedgerEntry[] {
        return this.entries(asPredicate(filter));
    }

    /** The attempts that were accepted. */
    deliveries(filter: LedgerFilter = {}): readonly LedgerEntry[] {
        const satisfies = asPredicate(filter);
        return this.entries(entry => entry.accepted && satisfies(entry));
    }
}

function asPredicate(filter: LedgerFilter): (entry: LedgerEntry) => boolean {
    if (typeof filter === 'function') {
        return filter;
    }
    const wanted = Object.entries(filter);
    return entry => wanted.every(([key, value]) => entry[key as keyof LedgerEntry] === value);
}
