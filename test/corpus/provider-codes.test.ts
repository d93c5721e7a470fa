import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MAX_HINT, type Classification } from '../../lib/delivery/types';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { classify } from '../../lib/responses/match';

type Line = Pick<Classification, 'class' | 'scope' | 'hints'> & { response: string; source: string };

const rules = loadRules([packageRulesDir()]);
const lines = readFileSync(join(__dirname, 'provider-codes.jsonl'), 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Line);

describe('codes that providers use today', () => {
    it('are at least sixty, each once', () => {
        expect(new Set(lines.map(line => line.response)).size).toBe(lines.length);
        expect(lines.length).toBeGreaterThanOrEqual(60);
    });

    it.each(lines)('$response', ({ response, class: replyClass, scope, hints }) => {
        const found = classify(rules, { code: 0, text: response, stage: 'none' });
        expect({ class: found.class, scope: found.scope, hints: found.hints }).toEqual({ class: replyClass, scope, hints });
    });
});

describe('hints', () => {
    it('are bounded, whatever a reply says', () => {
        const text = `550 Your IP 192.0.2.7 is listed in ${'a'.repeat(70)}.bl.example.org, see http://example.org/delist/${'x'.repeat(5000)} or https://example.org/lookup?ip=192.0.2.7`;
        const { hints } = classify(rules, { code: 550, text, stage: 'none' });
        for (const value of [hints.list, hints.listed, hints.delistUrl]) {
            expect((value ?? '').length).toBeLessThanOrEqual(MAX_HINT);
        }
    });

    it('show ranges and IPv6 addresses, and no time of day', () => {
        const hints = (text: string) => classify(rules, { code: 550, text, stage: 'none' }).hints;
        expect(hints('550 203.0.113.0/24 is blacklisted here').listed).toBe('203.0.113.0/24');
        expect(hints('550 Your IP [2001:DB8::7] is blacklisted').listed).toBe('2001:db8::7');
        expect(hints('550 Your IP is blacklisted since 10:11:12').listed).toBeUndefined();
    });
});
