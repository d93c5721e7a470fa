import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REPLY_CLASSES, SCOPES, type Classification, type Reply } from '../../lib/delivery/types';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { classify } from '../../lib/responses/match';
import { matches } from '../../lib/responses/rule';
import { readReply } from '../../lib/responses/text';
import { readRows } from '../corpus/score';

const rules = loadRules([packageRulesDir()]);
const rows = readRows(join(__dirname, '../corpus/responses.dev.jsonl'));
const CORPUS = join(__dirname, '../corpus');
const all = readdirSync(CORPUS).filter(name => name.startsWith('responses.')).sort().flatMap(name => readRows(join(CORPUS, name)));

/** For 64 KiB, after warm-up, on a busy machine of two cores. */
const BOUND_MS = 5;

function reply(text: string, code = 0): Reply {
    return { code, text, stage: 'none' };
}

/** A classification without what is quoted from the reply as it was written. */
function decided({ class: replyClass, scope, rule, hints }: Classification) {
    return { class: replyClass, scope, rule, retryAfter: hints.retryAfter, rateAbout: hints.rateAbout, list: hints.list, listed: hints.listed };
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

    it('finds the rule that asking all of them would find', () => {
        const pieces = fc.array(fc.constantFrom(...all.map(row => row.response)).chain(text => fc.nat({ max: text.length }).map(at => text.slice(0, at))), { minLength: 1, maxLength: 3 });
        fc.assert(
            fc.property(pieces, fc.constantFrom(0, 421, 550, 554), fc.constantFrom(undefined, 'barracuda'), (parts, code, provider) => {
                const text = readReply(reply(parts.join(' '), code));
                expect(rules.find(text, provider)).toBe(rules.rules.find(rule => matches(rule, text, provider)));
            }),
            { numRuns: 2000 }
        );
    });

    it('does not depend on case', () => {
        for (const { response, code } of all) {
            const found = decided(classify(rules, reply(response, code ?? 0)));
            expect(decided(classify(rules, reply(response.toUpperCase(), code ?? 0))), response).toEqual(found);
            expect(decided(classify(rules, reply(response.toLowerCase(), code ?? 0))), response).toEqual(found);
        }
    });

    it('does not depend on where lines are split', () => {
        fc.assert(
            fc.property(fc.constantFrom(...all), fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 4 }), (row, breaks) => {
                const found = decided(classify(rules, reply(row.response, row.code ?? 0)));
                const text = splitLines(row.response, new Set(breaks));
                expect(decided(classify(rules, reply(text, row.code ?? 0))), text).toEqual(found);
            }),
            { numRuns: 2000 }
        );
    });

    it('does not depend on addresses, hosts and queue ids', () => {
        const v4 = fc.ipV4();
        const id = fc.stringMatching(/^[A-F0-9]{10}$/);
        fc.assert(
            fc.property(fc.constantFrom(...all), v4, id, (row, address, queueId) => {
                const found = classify(rules, reply(row.response, row.code ?? 0));
                const text = row.response
                    .replace(/\b(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d{1,3}\b(?!\/|[-.]\w)/g, address)
                    .replace(/\bmail\.example\.com\b/g, 'mx7.out.example.org')
                    .replace(/\b[0-9A-F]{10}\b/g, queueId);
                expect(classify(rules, reply(text, row.code ?? 0)).class, text).toBe(found.class);
            }),
            { numRuns: 3000 }
        );
    });

    it('is not flipped by a code where the text decides', () => {
        for (const { response } of all) {
            const written = /^\d{3}(?=[ -])/.exec(response)?.[0] ?? 'none';
            // In every line, also of a reply whose lines were written into one.
            const [before, after] = [550, 553].map(code => classify(rules, reply(response.replace(new RegExp(`\\b${written}(?=[ -])`, 'g'), String(code)), code)));
            const rule = rules.rules.find(candidate => candidate.id === before?.rule);
            if (rule && rule.codes.length === 0) {
                expect(after?.class, response).toBe(before?.class);
            }
        }
    });

    it('takes bounded time on hostile input', () => {
        const pieces = fc.constantFrom(
            ...['a', ' ', '<', '[', '@', '.', '-', ':', '1.', '1:', '550-', '<a@', 'ip ', 'your ', 'blocked ', 'has been ', 'not ', 'user ', 'too many ', 'from '],
            ...['message ', 'domain ', 'listed in ', 'reputation ', 'mail ', 'server ', 'the ', 'spam ', 'connection ', 'sender ', 'recipient ', 'exceeded ', 'relay ', 'sending ', 'a.', 'is in a ', 'http://', 'lookup']
        );
        fc.assert(
            fc.property(fc.array(pieces, { minLength: 1, maxLength: 4 }), parts => {
                const unit = parts.join('');
                const text = unit.repeat(Math.ceil(65536 / unit.length));
                // the best of three: a pause of the machine is not the engine's
                const times = [1, 2, 3].map(() => {
                    const started = performance.now();
                    classify(rules, reply(text, 550));
                    return performance.now() - started;
                });
                expect(Math.min(...times)).toBeLessThan(BOUND_MS);
            }),
            { numRuns: 200 }
        );
    });
});
