import { MAX_ATTEMPTS, MAX_RESPONSE, REPLY_CLASSES, type Attempt, type DeliveryState, type Family, type Pin, type ReplyClass } from './types';

/** A delivery's state before its first attempt. */
export function freshState(home: string): DeliveryState {
    return { v: 1, home, phase: 'pool', attempts: [], reroutes: 0 };
}

/** The state with one attempt more: the first and the last ones are kept, at most MAX_ATTEMPTS. */
export function withAttempt(state: DeliveryState, attempt: Attempt): DeliveryState {
    const kept = { ...attempt, response: oneLine(attempt.response, MAX_RESPONSE) };
    const all = [...state.attempts, kept];
    const [first] = all;
    const attempts = first && all.length > MAX_ATTEMPTS ? [first, ...all.slice(1 - MAX_ATTEMPTS)] : all;
    return { ...state, attempts };
}

/** What a bounded line has not. Most texts have nothing of it, and then nothing is to be done. */
const UNTIDY = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]| {2}/;

/** Text from outside as one bounded line: no control characters, no line ends. */
export function oneLine(text: string, max: number): string {
    if (text.length <= max && !UNTIDY.test(text) && text.trim().length === text.length) {
        return text;
    }
    const flat = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').replace(/ {2,}/g, ' ').trim();
    return flat.length > max ? flat.slice(0, max - 1) + '…' : flat;
}

/**
 * Reads a state back from a queue document. Whatever is not of the expected shape is dropped: a document may have been
 * written by another version, or by hand, and a delivery must go on all the same.
 */
export function readState(stored: unknown, home: string): DeliveryState {
    const record = asRecord(stored);
    if (record?.['v'] !== 1) {
        return freshState(home);
    }
    const state = freshState(text(record['home'], 64) || home);
    state.phase = record['phase'] === 'relay' ? 'relay' : 'pool';
    state.reroutes = count(record['reroutes']);
    state.attempts = (Array.isArray(record['attempts']) ? record['attempts'] : []).slice(0, MAX_ATTEMPTS).flatMap(readAttempt);
    const pin = readPin(record['pin']);
    if (pin) {
        state.pin = pin;
    }
    const since = count(record['since']);
    const until = count(record['until']);
    if (state.phase === 'relay' && since && until) {
        state.since = since;
        state.until = until;
    }
    return state;
}

function readAttempt(stored: unknown): Attempt[] {
    const record = asRecord(stored);
    if (!record) {
        return [];
    }
    return [
        {
            at: count(record['at']),
            address: text(record['address'], 64),
            family: family(record['family']) ?? '',
            provider: text(record['provider'], 255),
            mx: text(record['mx'], 255),
            class: REPLY_CLASSES.find(name => name === record['class']) ?? ('other' satisfies ReplyClass),
            rule: text(record['rule'], 100),
            code: count(record['code']),
            response: text(record['response'], MAX_RESPONSE),
            ms: count(record['ms'])
        }
    ];
}

function readPin(stored: unknown): Pin | undefined {
    const record = asRecord(stored);
    const pinned = family(record?.['family']);
    const address = text(record?.['address'], 64);
    return record && pinned && address ? { address, family: pinned, mx: text(record['mx'], 255), tries: count(record['tries']) } : undefined;
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : undefined;
}

function family(value: unknown): Family | undefined {
    return value === 'ipv4' || value === 'ipv6' ? value : undefined;
}

function text(value: unknown, max: number): string {
    return typeof value === 'string' ? oneLine(value, max) : '';
}

function count(value: unknown): number {
    return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;
}
