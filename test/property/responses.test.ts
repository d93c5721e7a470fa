import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REPLY_CLASSES, SCOPES, type Reply } from '../../lib/delivery/types';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { classify } from '../../lib/responses/match';
import { readRows } from '../corpus/score';

const rules = loadRules([packageRulesDir()]);
const rows = readRows(join(__dirname, '../corpus/responses.dev.jsonl'));

function reply(text: string, code = 0): Reply {
    return { code, text, stage: 'none' };
}

/** The reply as a multi-line one, broken at the given spaces of its text. */
function splitLines(text: string, breaks: ReadonlySet<number>): string {
    const head = /^\d{3}[ -](?:[245]\.\d{1,3}\.\d{1,3} )?/.exec(text)?.[0];
    if (head === undefined || /^\d{3}-/.test(text)) {
        return text;
    }
    const lines: string[][] = [[]];
    text.slice(head.length)
        .split(' ')
        .forEach((word, index) => {
            if (breaks.has(index)) {
                lines.push([]);
            }
            lines.at(-1)?.push(word);
        });
    const last = lines.length - 1;
    return lines.map((words, index) => `${index === last ? head : head.replace(' ', '-')}${words.join(' ')}`).join('\r\n');
}

describe('classification', () => {
    it('gives any text a class and a scope', () => {
        const noise = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.constantFrom(...rows.map(row => row.response)));
        fc.assert(
            fc.property(noise, noise, fc.constantFrom(0, 220, 421, 450, 550, 554), (before, after, code) => {
                const found = classify(rules, reply(before + after, code));
                expect(REPLY_CLASSES).toContain(found.class);
                expect(SCOPES).toContain(found.scope);
                expect(found.rule).not.toBe('');
            })
        );
    });

    it('does not depend on case', () => {
        for (const { response, code } of rows) {
            const found = classify(rules, reply(response, code ?? 0));
            expect(classify(rules, reply(response.toUpperCase(), code ?? 0)), response).toEqual(found);
            expect(classify(rules, reply(response.toLowerCase(), code ?? 0)), response).toEqual(found);
        }
    });

    it('does not depend on where lines are split', () => {
        fc.assert(
            fc.property(fc.constantFrom(...rows), fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 4 }), (row, breaks) => {
                const found = classify(rules, reply(row.response, row.code ?? 0));
                const text = splitLines(row.response, new Set(breaks));
                expect(classify(rules, reply(text, row.code ?? 0)), text).toEqual(found);
            }),
            { numRuns: 2000 }
        );
    });

    it('takes bounded time on hostile input', () => {
        const pieces = fc.constantFrom(
            ...['a', ' ', '<', '[', '@', '.', '-', ':', '1.', '1:', '550-', '<a@', 'ip ', 'your ', 'blocked ', 'has been ', 'not ', 'user ', 'too many ', 'from '],
            ...['message ', 'domain ', 'listed in ', 'reputation ', 'mail ', 'server ', 'the ', 'spam ', 'connection ', 'sender ']
        );
        fc.assert(
            fc.property(fc.array(pieces, { minLength: 1, maxLength: 4 }), parts => {
                const unit = parts.join('');
                const text = unit.repeat(Math.ceil(65536 / unit.length));
                const started = performance.now();
                classify(rules, reply(text, 550));
                expect(performance.now() - started).toBeLessThan(1000);
            }),
            { numRuns: 200 }
        );
    });
});
