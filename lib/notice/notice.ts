/**
 * The text of the last letter: what was tried, from how many of our addresses, what they were answered, since when the
 * relay tried and what it answered last. Pure.
 */
import { oneLine } from '../delivery/state';
import { MAX_RESPONSE, SUSPENDED_RULE, type Attempt } from '../delivery/types';

export interface Trail {
    /** Attempts from our own addresses, oldest first. */
    own: readonly Attempt[];
    /** Attempts of the relay zones, oldest first. */
    relay: readonly Attempt[];
    /** Handover to the relay, Unix ms. */
    since?: number | undefined;
}

const MAX_ANSWERS = 6;
const NO_ANSWER = 'no answer';

/**
 * The trail in words, for ZoneMTA's bounce. That bounce puts the text into a header field of the delivery report too
 * (Diagnostic-Code), so every line after the first begins with white space and none is empty: folding (RFC 5322, 2.2.3).
 *
 * @param last the last answer, as ZoneMTA has it
 */
export function noticeText(last: string, trail: Trail): string {
    const lines = [oneLine(last, MAX_RESPONSE) || NO_ANSWER];
    // what was held back for the suspension of all addresses was no attempt
    const tried = trail.own.filter(attempt => attempt.rule !== SUSPENDED_RULE);
    if (tried.length > 0) {
        const addresses = new Set(tried.map(attempt => attempt.address).filter(Boolean)).size;
        lines.push(
            '',
            `What was tried: ${plural(tried.length, 'attempt')} from ${plural(addresses, 'address', 'addresses')} of ours, ${span(tried)}.`,
            'The answers:',
            ...answers(tried)
        );
    } else if (trail.own.length > 0) {
        lines.push('', 'No attempt from addresses of ours was made: they had all been refused there a short while before.');
    }
    if (trail.since !== undefined) {
        const names = [...new Set(trail.relay.map(attempt => attempt.mx).filter(Boolean))].join(', ');
        lines.push('', `On ${time(trail.since)} the message was handed to another provider${names ? ` (${names})` : ''}.`);
        const final = trail.relay.at(-1);
        lines.push(final ? `It was tried there ${plural(trail.relay.length, 'time')}, ${span(trail.relay)}. The last answer: ${answer(final)}` : 'It gave no answer.');
    }
    return lines.map((line, index) => (index === 0 ? line : `    ${line || '.'}`)).join('\r\n');
}

function answers(attempts: readonly Attempt[]): string[] {
    const counted = new Map<string, number>();
    for (const attempt of attempts) {
        const text = `${attempt.mx || attempt.provider}: ${answer(attempt)}`;
        counted.set(text, (counted.get(text) ?? 0) + 1);
    }
    const lines = [...counted].map(([text, times]) => `- ${text}${times > 1 ? ` (${times} times)` : ''}`);
    return lines.length > MAX_ANSWERS ? [...lines.slice(0, MAX_ANSWERS), `- and ${lines.length - MAX_ANSWERS} more`] : lines;
}

function answer(attempt: Attempt): string {
    return oneLine(attempt.response, MAX_RESPONSE) || NO_ANSWER;
}

function span(attempts: readonly Attempt[]): string {
    const first = attempts[0]?.at ?? 0;
    const last = attempts.at(-1)?.at ?? first;
    return first === last ? `on ${time(first)}` : `from ${time(first)} to ${time(last)}`;
}

function time(ms: number): string {
    return new Date(ms).toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' UTC');
}

function plural(count: number, one: string, many = `${one}s`): string {
    return `${count} ${count === 1 ? one : many}`;
}
