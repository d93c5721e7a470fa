/** What rspamd's answer means for a message. Pure. The answer comes from outside: bounded, checked, never evaluated. */
import * as v from 'valibot';
import { oneLine } from '../delivery/state';
import type { ScanAction } from '../settings/rspamd';

export interface ScanVerdict {
    action: ScanAction;
    /** Action, score and virus as rspamd said. */
    rspamdAction: string;
    score: number;
    virus?: string;
    /** SMTP reply for a refusal: code, enhanced status, text; one line. */
    reply: string;
    headers: { add: AddedHeader[]; remove: string[] };
}

export interface AddedHeader {
    name: string;
    value: string;
    /** Position from the top, as rspamd numbers them; undefined: at the top. */
    order?: number;
}

/** Actions that rspamd knows; any other one is a fault of the answer, never "clean". */
export const RSPAMD_ACTIONS = ['reject', 'soft reject', 'greylist', 'add header', 'rewrite subject', 'no action'] as const;

const MAX_TEXT = 200;
const MAX_HEADERS = 50;

const Header = v.union([v.string(), v.object({ value: v.string(), order: v.optional(v.number()) })]);

const Answer = v.object({
    action: v.picklist(RSPAMD_ACTIONS),
    score: v.number(),
    is_skipped: v.optional(v.boolean(), false),
    symbols: v.optional(v.record(v.string(), v.object({ options: v.optional(v.array(v.string())) })), {}),
    messages: v.optional(v.object({ smtp_message: v.optional(v.string()) })),
    milter: v.optional(
        v.object({
            add_headers: v.optional(v.record(v.string(), v.union([Header, v.array(Header)])), {}),
            remove_headers: v.optional(v.record(v.string(), v.unknown()), {})
        })
    )
});

/**
 * Reads an answer of rspamd's /checkv2.
 *
 * @param actions what the settings make of each action of rspamd
 * @throws Error when the answer is not one that rspamd gives: a failure of that server
 */
export function interpret(json: unknown, actions: Readonly<Record<string, ScanAction>>): ScanVerdict {
    const parsed = v.safeParse(Answer, json);
    if (!parsed.success) {
        const [issue] = parsed.issues;
        throw new Error(`not an answer of rspamd: ${v.getDotPath(issue) ?? 'body'}: ${oneLine(issue.message, MAX_TEXT)}`);
    }
    const answer = parsed.output;
    const action = actions[answer.action] ?? 'reject';
    const virus = virusIn(answer.symbols);
    const verdict: ScanVerdict = {
        action,
        rspamdAction: answer.action,
        score: answer.score,
        reply: replyFor(action, virus, answer.messages?.smtp_message),
        headers: {
            add: Object.entries(answer.milter?.add_headers ?? {}).slice(0, MAX_HEADERS).flatMap(([name, values]) => [values].flat().map(value => addedHeader(name, value))),
            remove: Object.keys(answer.milter?.remove_headers ?? {}).slice(0, MAX_HEADERS)
        }
    };
    return virus === undefined ? verdict : { ...verdict, virus };
}

/** Antivirus modules of rspamd name their symbols ..._VIRUS and give the virus's name as the first option. */
function virusIn(symbols: Readonly<Record<string, { options?: string[] | undefined }>>): string | undefined {
    const found = Object.entries(symbols).find(([name]) => /_VIRUS(_|$)/.test(name));
    return found && oneLine(found[1].options?.[0] ?? 'unknown', MAX_TEXT);
}

function replyFor(action: ScanAction, virus: string | undefined, message: string | undefined): string {
    const text = oneLine((message ?? '').replace(/^[45]\d\d(?:[ -]\d\.\d{1,3}\.\d{1,3})?[ -]*/, ''), MAX_TEXT);
    if (action === 'tempfail') {
        return `451 4.7.1 ${text || 'Try again later'}`;
    }
    if (virus !== undefined) {
        return `550 5.7.1 Virus found: ${virus}`;
    }
    return `550 5.7.1 ${text ? `Message refused: ${text}` : 'Message refused as spam'}`;
}

function addedHeader(name: string, header: v.InferOutput<typeof Header>): AddedHeader {
    const { value, order } = typeof header === 'string' ? { value: header, order: undefined } : header;
    return order === undefined ? { name, value } : { name, value, order };
}
