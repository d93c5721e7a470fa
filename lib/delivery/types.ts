/**
 * The words that all rooms share. This file knows nothing of ZoneMTA and nothing of the rest of the package.
 */

export type Family = 'ipv4' | 'ipv6';

/** Classes of SMTP replies: the closed list. What each one means for a delivery is the table in lib/policy. */
export const REPLY_CLASSES = [
    'ip-reputation',
    'ip-rate',
    'ip-ptr',
    'greylist',
    'content',
    'domain-reputation',
    'auth',
    'virus',
    'recipient',
    'mailbox-full',
    'size',
    'policy-other',
    'network',
    'tls',
    'system',
    'sender',
    'relay-denied',
    'other'
] as const;

export type ReplyClass = (typeof REPLY_CLASSES)[number];

/** How much of our pool a reply speaks about. */
export const SCOPES = ['address', 'subnet', 'family', 'provider', 'global', 'none'] as const;

export type Scope = (typeof SCOPES)[number];

/** The point of the SMTP conversation that was refused. `none`: no conversation took place. */
export type Stage = 'none' | 'greeting' | 'ehlo' | 'tls' | 'auth' | 'mail' | 'rcpt' | 'data' | 'end-of-data';

/** What the other side said, or what the network said in its place (then `code` is 0). */
export interface Reply {
    /** SMTP code, 0 when there was no SMTP reply. */
    code: number;
    /** The whole reply text as received: code and enhanced status included, lines joined by a space or a newline. */
    text: string;
    stage: Stage;
    /** No connection came about, or it ended before the session began. */
    unconnected?: boolean;
    /** ZoneMTA repeats the connection error of an earlier delivery; nothing was tried for this one. */
    replayed?: boolean;
}

/** What an ip-rate reply counts, when it says so. */
export type RateAbout = 'address' | 'domain' | 'sender' | 'url' | 'complaints';

/** Facts found in the reply's text. */
export interface Hints {
    /** Seconds to wait, as the reply asks. */
    retryAfter?: number;
    rateAbout?: RateAbout;
    /** The list that the address is on, as the reply names it: a DNS zone or a known name. */
    list?: string;
    /** The address or range that is refused, when the reply shows one. */
    listed?: string;
    /** Where the reply says that a refusal can be looked up or lifted. */
    delistUrl?: string;
}

/** A hint longer than this is no hint. */
export const MAX_HINT = 200;

export interface Classification {
    class: ReplyClass;
    /** Could another source address have made the difference? */
    ipRelated: boolean;
    scope: Scope;
    /** Id of the rule that decided, `code` or `network` when no rule knew the text. */
    rule: string;
    hints: Hints;
}

/** One try at one MX, as it stands in the state of a delivery, in the history and in the notice. Strings and numbers only. */
export interface Attempt {
    /** Unix time in milliseconds. */
    at: number;
    /** Source address of ours; empty when none was used. */
    address: string;
    family: Family | '';
    /** Key of the provider (lib/providers). */
    provider: string;
    /** MX host name, or the relay zone's host. */
    mx: string;
    class: ReplyClass;
    rule: string;
    code: number;
    /** The reply, at most MAX_RESPONSE characters. */
    response: string;
    /** Duration of the attempt. */
    ms: number;
}

/** What a greylisted delivery keeps: a greylist knows (address, sender, recipient), and each MX may have its own. */
export interface Pin {
    address: string;
    family: Family;
    mx: string;
    /** How often the pinned address has been put off so far. */
    tries: number;
}

/** The state of one delivery, kept in its queue document under `smartRelay`. */
export interface DeliveryState {
    v: 1;
    /** Sending zone that the delivery came from. ZoneMTA stores it nowhere else. */
    home: string;
    phase: 'pool' | 'relay';
    attempts: Attempt[];
    /** Reroutes used so far (attempts are bounded, this count is not lost with them). */
    reroutes: number;
    pin?: Pin;
    /** Handover to the relay, and the end of its time. Unix milliseconds. */
    since?: number;
    until?: number;
}

/** The rule of what stands as an attempt and was none: all addresses are suspended, and the delivery was held back. */
export const SUSPENDED_RULE = 'suspended';

export const MAX_ATTEMPTS = 20;
export const MAX_RESPONSE = 500;
