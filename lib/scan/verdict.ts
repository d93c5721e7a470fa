/** What rspamd's answer means for a message. Pure. The answer comes from outside: bounded, checked, never evaluated. */
import * as v from 'valibot';
import { oneLine } from '../delivery/state';
import type { RspamdSettings, ScanAction } from '../settings/rspamd';
import type { AddedHeader, HeaderChanges, RemovedHeader } from '../zonemta/message';

/** Actions that rspamd knows; any other one is a fault of the answer, never "clean". */
export const RSPAMD_ACTIONS = ['reject', 'soft reject', 'greylist', 'add header', 'rewrite subject', 'no action'] as const;
export type RspamdAction = (typeof RSPAMD_ACTIONS)[number];

/** What rspamd said, as far as we use it. */
export interface Answer {
    action: RspamdAction;
    score: number;
    /** Those that weighed most, "NAME(score)". */
    symbols: string[];
    virus?: string;
    /** rspamd's own words for the client. */
    message: string;
    headers: HeaderChanges;
}

/** What becomes of the message. */
export interface ScanVerdict {
    action: ScanAction;
    /** SMTP reply for a refusal: code, enhanced status, text; one line. */
    reply: string;
}

const MAX_TEXT = 200;
const MAX_HEADERS = 50;
const MAX_SYMBOLS = 20;
/** Symbols below it say little about a message. */
const SYMBOL_SCORE = 0.5;

const Header = v.union([v.string(), v.object({ value: v.string(), order: v.optional(v.number()) })]);
const Symbol = v.object({ score: v.optional(v.number(), 0), options: v.optional(v.array(v.string()), []) });
type Symbols = Readonly<Record<string, v.InferOutput<typeof Symbol>>>;

const RawAnswer = v.object({
    action: v.picklist(RSPAMD_ACTIONS),
    score: v.number(),
    symbols: v.optional(v.record(v.string(), Symbol), {}),
    messages: v.optional(v.object({ smtp_message: v.optional(v.string(), '') }), {}),
    milter: v.optional(
        v.object({
            add_headers: v.optional(v.record(v.string(), v.union([Header, v.array(Header)])), {}),
            remove_headers: v.optional(v.record(v.string(), v.number()), {})
        }),
        {}
    ),
    // apart from the milter's headers: what dkim_signing made
    'dkim-signature': v.optional(v.union([v.string(), v.array(v.string())]), [])
});

/**
 * Reads an answer of rspamd's /checkv2.
 *
 * @throws Error when the answer is not one that rspamd gives: a failure of that server
 */
export function readAnswer(json: unknown): Answer {
    const parsed = v.safeParse(RawAnswer, json);
    if (!parsed.success) {
        const [issue] = parsed.issues;
        throw new Error(`not an answer of rspamd: ${v.getDotPath(issue) ?? 'body'}: ${oneLine(issue.message, MAX_TEXT)}`);
    }
    const { action, score, symbols, messages, milter, 'dkim-signature': signatures } = parsed.output;
    const virus = virusIn(symbols);
    const message = oneLine(messages.smtp_message.replace(/^[45]\d\d(?:[ -]\d\.\d{1,3}\.\d{1,3})?[ -]*/, ''), MAX_TEXT);
    const add = Object.entries(milter.add_headers).flatMap(([name, values]) => [values].flat().map(value => addedHeader(name, value)));
    const remove: RemovedHeader[] = Object.entries(milter.remove_headers).map(([name, nth]) => ({ name, nth }));
    const headers = { add: [...add.slice(0, MAX_HEADERS), ...[signatures].flat().slice(0, MAX_HEADERS).map(signature)], remove: remove.slice(0, MAX_HEADERS) };
    const answer: Answer = { action, score, symbols: weighty(symbols), message, headers };
    return virus === undefined ? answer : { ...answer, virus };
}

/** The actions for a message: those for all, and over them those of the first override that fits it. */
export function actionsFor({ actions, overrides }: Pick<RspamdSettings, 'actions' | 'overrides'>, message: { interface: string; sender: string }): RspamdSettings['actions'] {
    const sender = message.sender.toLowerCase();
    const fits = (pattern: string) => (pattern.startsWith('@') ? sender.endsWith(pattern) : sender === pattern);
    const own = overrides.find(override => (override.interface ?? message.interface) === message.interface && fits(override.sender ?? sender));
    return { ...actions, ...own?.actions };
}

/** What the settings make of an answer. */
export function decide(answer: Answer, actions: Readonly<Record<RspamdAction, ScanAction>>): ScanVerdict {
    const action = actions[answer.action];
    return { action, reply: replyFor(action, answer) };
}

/** Antivirus modules of rspamd name their symbols ..._VIRUS and give the virus's name as the first option. */
function virusIn(symbols: Symbols): string | undefined {
    const found = Object.entries(symbols).find(([name]) => isVirus(name));
    return found && oneLine(found[1].options[0] ?? 'unknown', MAX_TEXT);
}

function isVirus(name: string): boolean {
    return /_VIRUS(_|$)/.test(name);
}

function weighty(symbols: Symbols): string[] {
    return Object.entries(symbols)
        .filter(([name, { score }]) => Math.abs(score) >= SYMBOL_SCORE || isVirus(name))
        .sort(([, one], [, other]) => Math.abs(other.score) - Math.abs(one.score))
        .slice(0, MAX_SYMBOLS)
        .map(([name, { score }]) => `${oneLine(name, 64)}(${score.toFixed(2)})`);
}

function replyFor(action: ScanAction, { virus, message }: Answer): string {
    if (action === 'tempfail') {
        return `451 4.7.1 ${message || 'Try again later'}`;
    }
    if (virus !== undefined) {
        return `550 5.7.1 Virus found: ${virus}`;
    }
    return `550 5.7.1 ${message ? `Message refused: ${message}` : 'Message refused as spam'}`;
}

function addedHeader(name: string, header: v.InferOutput<typeof Header>): AddedHeader {
    const { value, order } = typeof header === 'string' ? { value: header, order: undefined } : header;
    return order === undefined ? { name, value } : { name, value, order };
}

/** A signature stands above what it signs. */
function signature(value: string): AddedHeader {
    return { name: 'DKIM-Signature', value, order: 0 };
}
