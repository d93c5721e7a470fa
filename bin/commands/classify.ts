import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { classify } from '../../lib/responses/match';
import type { RuleSet } from '../../lib/responses/rule-set';
import { readArgs, UsageError, type Command } from './command';
import { rulesFor } from './rules';

/** Answers are written in pieces of about this many characters: one write a line is what would make 100,000 lines slow. */
const CHUNK = 64 * 1024;

interface Question {
    response: string;
    provider: string | undefined;
    code: number;
}

/** @throws Error that says what is wrong with the line. */
function readQuestion(line: string): Question {
    let value: unknown;
    try {
        value = JSON.parse(line);
    } catch {
        throw new Error('is not JSON');
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new Error('is not a JSON object');
    }
    const { response, provider, code } = value as Record<string, unknown>;
    if (typeof response !== 'string') {
        throw new Error('"response" must be a text');
    }
    // The corpus writes null for "not known".
    if (provider !== undefined && provider !== null && typeof provider !== 'string') {
        throw new Error('"provider" must be a text');
    }
    if (code !== undefined && code !== null && !Number.isInteger(code)) {
        throw new Error('"code" must be a whole number');
    }
    return { response, provider: provider ?? undefined, code: (code as number | null | undefined) ?? 0 };
}

function answer(rules: RuleSet, line: string): string {
    const { response, provider, code } = readQuestion(line);
    const found = classify(rules, { code, text: response, stage: 'none' }, provider);
    return JSON.stringify({ class: found.class, ipRelated: found.ipRelated, scope: found.scope, rule: found.rule });
}

async function run(argv: readonly string[]): Promise<number> {
    const { values } = readArgs({
        args: [...argv],
        options: { jsonl: { type: 'boolean' }, rules: { type: 'string' } }
    });
    if (!values.jsonl) {
        throw new UsageError('classify reads JSON lines; say --jsonl');
    }
    const rules = rulesFor(values.rules);
    let number = 0;
    let faults = 0;
    let pending = '';
    for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
        number += 1;
        try {
            pending += `${answer(rules, line)}\n`;
        } catch (err) {
            faults += 1;
            pending += `${JSON.stringify({ error: `line ${number}: ${(err as Error).message}` })}\n`;
        }
        if (pending.length >= CHUNK) {
            if (!process.stdout.write(pending)) {
                await once(process.stdout, 'drain');
            }
            pending = '';
        }
    }
    process.stdout.write(pending);
    return faults === 0 ? 0 : 1;
}

/**
 * `classify --jsonl`: one answer a line for each line of standard input, in order. A line that cannot be read is answered
 * by `{"error": ...}` in its place, and the exit code is 1 at the end.
 */
export const classifyCommand: Command = {
    name: 'classify',
    usage: 'classify --jsonl [--rules DIR]',
    summary: 'read {"response", "provider"?, "code"?} a line, write {"class", "ipRelated", "scope", "rule"} a line',
    run
};
