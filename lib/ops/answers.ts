/** What the routes answer with. */
import * as v from 'valibot';
import { oneLine } from '../delivery/state';

export interface Answer {
    code: number;
    body: unknown;
}

export const PREFIX = '/plugin/smart-relay';
export const MAX_NOTE = 200;

/** A provider key, as in logs and history. */
export const providerName = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.:_-]{0,254}$/));

export function failure(code: number, word: string, error: string): Answer {
    return { code, body: { error, code: word } };
}

export function closed(): Answer {
    return failure(503, 'GATE_CLOSED', 'smart-relay is not running: see /status');
}

/** The body is not what the route takes. */
export function badRequest(issue: v.BaseIssue<unknown>, expected: string): Answer {
    return failure(400, 'BAD_REQUEST', oneLine(`${v.getDotPath(issue) ?? 'body'}: ${issue.message}; expected ${expected}`, 400));
}
