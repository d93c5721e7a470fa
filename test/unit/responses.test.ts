import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Classification, Stage } from '../../lib/delivery/types';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { classify } from '../../lib/responses/match';
import { readReply } from '../../lib/responses/text';

const rules = loadRules([packageRulesDir()]);

function read(text: string, provider?: string, stage: Stage = 'none'): Classification {
    return classify(rules, { code: 0, text, stage }, provider);
}

describe('a reply is read', () => {
    it('without the codes that lines repeat', () => {
        const one = readReply({ code: 550, text: '550-5.7.1 Your IP is\r\n550 5.7.1 blocked', stage: 'none' });
        expect(one).toEqual({ code: 550, enhanced: '5.7.1', body: 'your ip is blocked' });
        expect(readReply({ code: 550, text: '550-5.7.1 Your IP is 550 5.7.1 blocked', stage: 'none' })).toEqual(one);
        expect(readReply({ code: 554, text: '554-No service\n554 Blocked', stage: 'none' }).body).toBe('no service blocked');
    });

    it('with the code from its text when the caller has none', () => {
        expect(readReply({ code: 0, text: 'host mx.example.net[192.0.2.1] said: 554 5.7.1 no', stage: 'none' })).toEqual({
            code: 554,
            enhanced: '5.7.1',
            body: 'no'
        });
    });

    it('with addresses of both families as one word, and times left alone', () => {
        const text = '550 192.0.2.1 and 2001:db8::7 and mail.example.com[192.0.2.2] at 10:11:12';
        expect(readReply({ code: 550, text, stage: 'none' }).body).toBe('<#> and <#> and <#> at 10:11:12');
    });
});

describe('who is blamed decides, not what is named', () => {
    it.each([
        ['auth', '550 5.7.23 SPF fail: 192.0.2.7 is not allowed to send mail for example.com'],
        ['content', '554 5.7.1 Blocked: URL example.com is listed in URIBL; client 192.0.2.7'],
        ['domain-reputation', '554 5.7.1 Service unavailable; Sender address [a@example.com] blocked using dbl.spamhaus.org'],
        ['policy-other', '450 4.2.1 The user you are trying to contact is receiving mail too quickly'],
        ['recipient', '550 5.2.1 This mailbox has been blocked due to inactivity'],
        ['ip-reputation', '550 5.2.1 Mailbox unavailable. Your IP address 192.0.2.7 is blacklisted'],
        ['ip-reputation', '554 5.7.1 <a@example.com>: Recipient address rejected: this ip has been blacklisted'],
        ['ip-ptr', '450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.7]'],
        ['greylist', '450 4.2.0 <a@example.com>: Recipient address rejected: Greylisted'],
        ['ip-rate', '421 4.7.0 Error: too many connections from 192.0.2.7']
    ])('%s: %s', (expected, text) => {
        expect(read(text).class).toBe(expected);
    });
});

describe('no SMTP reply', () => {
    it.each([
        ['network', 'connect ETIMEDOUT 192.0.2.1:25'],
        ['network', 'Network error: connect ECONNREFUSED 192.0.2.1:25'],
        ['network', 'something that nobody knows'],
        ['tls', 'Network error: SSL routines: tls_process_server_hello: wrong version number']
    ])('is %s: %s', (expected, text) => {
        expect(read(text).class).toBe(expected);
    });
});

describe('a text that no rule knows', () => {
    it('is decided by its status', () => {
        expect(read('550 5.1.1 zzz')).toEqual({ class: 'recipient', ipRelated: false, scope: 'none', rule: 'code', hints: {} });
        expect(read('550 5.7.25 zzz').class).toBe('ip-ptr');
        expect(read('452 zzz').class).toBe('system');
    });

    it('blames the address when it is a 5xx greeting', () => {
        expect(read('554 zzz', undefined, 'greeting').class).toBe('ip-reputation');
        expect(read('554 zzz', undefined, 'end-of-data').class).toBe('other');
    });
});

describe('scope', () => {
    it.each([
        ['subnet', "550 5.7.1 Unfortunately, messages from [192.0.2.4] weren't sent. Part of their network is on our block list (S3140)."],
        ['global', '554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org'],
        ['family', '550 5.7.510 Access denied, example.com does not accept email over IPv6'],
        ['address', '550 5.7.1 Your IP 192.0.2.7 is blocked here'],
        ['none', '550 5.1.1 User unknown']
    ])('%s: %s', (expected, text) => {
        expect(read(text).scope).toBe(expected);
    });
});

describe('hints', () => {
    it.each([
        ['421 4.7.0 Rate limit exceeded for your IP, try again in 3600 seconds', 3600],
        ['421 Your IP is blocked, try again in 4 hours', 14400],
        ['421 too many connections, please wait 15 minutes', 900],
        ['451 4.7.1 Greylisted for 5 minutes', 300],
        ['451 4.7.1 Greylisting in action, please come back in 00:04:59', 299],
        ['450 4.7.1 Bitte in 10 Minuten erneut: warten 10 Minuten', 600],
        ['421 blocked for 400 days', 604800]
    ])('%s', (text, seconds) => {
        expect(read(text).hints.retryAfter).toBe(seconds);
    });

    it('are not taken from the window that was counted', () => {
        expect(read('421 blocked: 500 messages in the last 60 minutes').hints.retryAfter).toBeUndefined();
        expect(read('421 rejected, more than 100 mails per 1 hour').hints.retryAfter).toBeUndefined();
    });

    it.each([
        ['complaints', '421 4.7.0 [TSS05] Messages from 192.0.2.7 temporarily deferred due to user complaints'],
        ['domain', '550 Domain frequency limited.'],
        ['url', '421-4.7.28 Gmail has detected an unusual rate of unsolicited mail containing one of your URL domains.'],
        ['sender', '550 Sender frequency limited.'],
        ['address', '421 4.7.0 Error: too many connections from 192.0.2.7'],
        [undefined, '452 4.5.3 rate limit exceeded']
    ])('a rate counts %s, and another address would help or not: %s', (about, text) => {
        expect(read(text)).toMatchObject({ class: 'ip-rate', ipRelated: about === undefined || about === 'address' || about === 'complaints' });
        expect(read(text).hints.rateAbout).toBe(about);
    });
});

describe('rules for one provider', () => {
    it('say nothing about others or the unknown', () => {
        expect(read('550 Blocked', 'barracuda').rule).toBe('barracuda-blocked');
        expect(read('550 Blocked').rule).not.toBe('barracuda-blocked');
        expect(read('550 Blocked', 'gmail').rule).not.toBe('barracuda-blocked');
    });
});

describe('loading', () => {
    let root: string;

    beforeEach(() => {
        root = mkdtempSync(join(tmpdir(), 'rules-'));
    });

    afterEach(() => {
        rmSync(root, { recursive: true });
    });

    /** A directory with one file, rules.toml. */
    function dir(name: string, ...tables: string[]): string {
        const path = join(root, name);
        mkdirSync(path);
        writeFileSync(join(path, 'rules.toml'), tables.map(table => `[[rule]]\n${table}\n`).join('\n'));
        return path;
    }

    const good = 'id = "one"\nclass = "content"\npattern = "foo"\nsamples = ["550 foo bar"]\nsource = "log"\nnearMisses = ["550 no", "550 neither"]';

    it('takes a sound rule', () => {
        expect(loadRules([dir('a', good)]).rules).toMatchObject([{ id: 'one', class: 'content', scope: 'none', file: 'rules.toml' }]);
    });

    it.each([
        ['a bad regexp', good.replace('"foo"', '"(foo"'), /^rules\.toml: one: pattern is no regular expression \(.*Unterminated group\); mend it$/],
        ['a pattern that can take for ever', good.replace('"foo"', '"(?:fo+)+x|foo"'), /^rules\.toml: one: pattern repeats a repetition, which can take for ever; bound the inner one/],
        ['an unknown class', good.replace('"content"', '"spammy"'), /^rules\.toml: one: class "spammy" is not known; use one of ip-reputation, .*, other$/],
        ['an unknown scope', `${good}\nscope = "planet"`, /^rules\.toml: one: scope "planet" is not known; use one of address, subnet, family, provider, global, none$/],
        ['an unknown key', `${good}\nsorce = "x"`, /^rules\.toml: one: unknown key "sorce"; allowed are id, class, .*, source$/],
        ['no sample', good.replace('samples = ["550 foo bar"]', ''), /^rules\.toml: one: has no sample; add a reply that it was made for$/],
        ['no source', good.replace('source = "log"', ''), /^rules\.toml: one: has no source; name the page or log that shows the reply$/],
        ['no id', good.replace('id = "one"', ''), /^rules\.toml: rule 1: has no id; give it one that is unique$/],
        ['no pattern', good.replace('pattern = "foo"', ''), /^rules\.toml: one: has neither pattern nor enhanced; a rule needs one of them$/],
        ['an empty pattern list', good.replace('"foo"', '[]'), /^rules\.toml: one: pattern is an empty list, which would match every reply; remove it or fill it$/],
        ['a dead sample', good.replace('foo bar', 'bar'), /^rules\.toml: one: does not match its own sample "550 bar"; mend the pattern or the sample$/],
        ['a near-miss that matches', good.replace('"550 no"', '"550 foo"'), /^rules\.toml: one: matches its near-miss "550 foo"; narrow the pattern$/],
        ['fewer than two near-misses in the file', good.replace('"550 no", ', ''), /^rules\.toml: file: has 1 nearMisses; add replies that its rules must not match, at least 2$/],
        ['a word that nobody defined', good.replace('"foo"', '"{fo-o}"'), /^rules\.toml: one: \{fo-o\} is not in words\.toml; known are $/],
        ['a wrong code', `${good}\ncode = [99]`, /^rules\.toml: one: code must be a list of SMTP codes, for example \[421, 450\], or \[4\] for all 4xx$/]
    ])('refuses %s', (_name, table, message) => {
        expect(() => loadRules([dir('a', table)])).toThrow(message);
    });

    it('refuses a rule that an earlier one shadows', () => {
        const second = good.replace('"one"', '"two"').replace('"foo"', '"foo bar"');
        expect(() => loadRules([dir('a', good, second)])).toThrow(
            'rules.toml: two: its sample "550 foo bar" is taken by rule one (rules.toml); narrow that one or move this one before it'
        );
    });

    it('refuses an id that is used twice', () => {
        expect(() => loadRules([dir('a', good), dir('b', good)])).toThrow('rules.toml: one: the id is used in rules.toml already; choose another');
    });

    it('lets a rule say when somebody else is blamed', () => {
        const set = loadRules([dir('a', `${good}\nunless = "mailbox"`)]);
        expect(classify(set, { code: 550, text: '550 foo', stage: 'none' }).rule).toBe('one');
        expect(classify(set, { code: 550, text: '550 foo, mailbox', stage: 'none' }).rule).toBe('code');
    });

    it('fills in words, those of later directories too', () => {
        const path = dir('operator', good.replace('"foo"', '"{fo-o}"'));
        const base = dir('package', good.replace('"one"', '"two"').replaceAll('foo', 'bár').replace('bár bar', 'bar'));
        writeFileSync(join(base, 'words.toml'), '[words]\nfo-o = "f(?:oo|uu)"');
        const set = loadRules([path, base]);
        expect(classify(set, { code: 550, text: '550 fuu', stage: 'none' }).rule).toBe('one');
        expect(classify(set, { code: 550, text: '550 BÁR', stage: 'none' }).rule).toBe('two');
    });

    it('refuses a file that is no TOML', () => {
        const path = dir('a');
        writeFileSync(join(path, 'rules.toml'), '[[rule');
        expect(() => loadRules([path])).toThrow(/^rules\.toml: file: cannot be read: /);
    });

    it("asks the operator's rules first and lets them overrule", () => {
        const mine = good.replace('"one"', '"mine"').replace('"content"', '"sender"');
        const set = loadRules([dir('operator', mine), dir('package', good)]);
        expect(classify(set, { code: 550, text: '550 foo', stage: 'none' }).rule).toBe('mine');
    });
});
