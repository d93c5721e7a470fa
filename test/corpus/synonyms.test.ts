import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { classify } from '../../lib/responses/match';
import { readRows, type Row } from './score';

/** Words that servers say for each other. Not all fit in all sentences, so a few changes of the answer are right. */
const SYNONYMS: readonly (readonly string[])[] = [
    ['blocked', 'rejected', 'refused', 'denied'],
    ['blacklisted', 'blocklisted', 'banned'],
    ['is blocked', 'was blocked', 'has been blocked', 'is currently blocked', 'is temporarily blocked', 'is permanently blocked'],
    ['is listed', 'has been listed', 'is currently listed', 'appears'],
    ['your ip', 'your ip address', 'your host', 'your server', 'your mail server', 'your smtp server', 'your mta', 'the sending server', 'the sending ip', 'the client ip'],
    ['blacklist', 'blocklist', 'block list', 'black list', 'denylist', 'deny list'],
    ['reverse dns', 'rdns', 'ptr record', 'reverse dns record', 'reverse lookup'],
    ['too many connections', 'connection limit exceeded', 'too many concurrent connections', 'too many simultaneous connections'],
    ['poor reputation', 'bad reputation', 'low reputation', 'very low reputation'],
    ['message', 'mail', 'email', 'e-mail'],
    ['user unknown', 'unknown user', 'no such user', 'user not found', 'user does not exist', 'mailbox unavailable'],
    ['greylisted', 'greylisting', 'graylisted'],
    ['try again later', 'please try again later', 'please retry later', 'try later', 'retry later']
];

const rules = loadRules([packageRulesDir()]);

function answer(row: Row, text: string): boolean {
    return classify(rules, { code: row.code ?? 0, text, stage: 'none' }, row.provider ?? undefined).ipRelated;
}

/** The same reply in other words, one word changed at a time. */
function* variants(text: string): Generator<string> {
    for (const words of SYNONYMS) {
        for (const word of words) {
            const place = new RegExp(`(?<![\\w-])${word}(?![\\w-])`, 'i');
            if (place.test(text)) {
                yield* words.filter(other => other !== word).map(other => text.replace(place, other));
            }
        }
    }
}

describe('one word for another', () => {
    it('changes the answer of hardly any reply', () => {
        const rows = readdirSync(__dirname)
            .filter(name => /^responses\..*\.jsonl$/.test(name))
            .flatMap(name => readRows(join(__dirname, name)))
            .filter(row => !row.ambiguous && answer(row, row.response) === row.ipRelated);
        const answers = rows.flatMap(row => [...variants(row.response)].map(text => answer(row, text) === row.ipRelated));
        expect(answers.length).toBeGreaterThan(10_000);
        expect(answers.filter(same => !same).length / answers.length).toBeLessThan(0.02);
    });
});
