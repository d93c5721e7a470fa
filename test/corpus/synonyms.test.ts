import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { ask, readRows } from './score';

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

const PLACES = SYNONYMS.flatMap(words => words.map(word => ({ place: new RegExp(`(?<![\\w-])${word}(?![\\w-])`, 'i'), others: words.filter(other => other !== word) })));

const rules = loadRules([packageRulesDir()]);

/** The same reply in other words, one word changed at a time. */
function variants(text: string): string[] {
    return PLACES.filter(({ place }) => place.test(text)).flatMap(({ place, others }) => others.map(other => text.replace(place, other)));
}

describe('one word for another', () => {
    it('changes the answer of hardly any reply', () => {
        const rows = readdirSync(__dirname)
            .filter(name => /^responses\..*\.jsonl$/.test(name))
            .flatMap(name => readRows(join(__dirname, name)))
            .filter(row => !row.ambiguous && ask(rules, row).ipRelated === row.ipRelated);
        const answers = rows.flatMap(row => variants(row.response).map(response => ask(rules, { ...row, response }).ipRelated === row.ipRelated));
        expect(answers.length).toBeGreaterThan(10_000);
        expect(answers.filter(same => !same).length / answers.length).toBeLessThan(0.02);
    });
});
