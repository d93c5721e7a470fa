import type { Classification } from '../../lib/delivery/types';
import { classify } from '../../lib/responses/match';
import type { RuleSet } from '../../lib/responses/rule-set';
import { readReply } from '../../lib/responses/text';
import { readArgs, UsageError, type Command } from './command';
import { foresee } from './foresee';
import { rulesFor } from './rules';

/** What is known about a reply, as lines of name and value. */
function describe(rules: RuleSet, found: Classification): [string, string][] {
    const rule = rules.rules.find(candidate => candidate.id === found.rule);
    const lines: [string, string][] = [
        ['class', `${found.class}${found.ipRelated ? ' (another address may help)' : ''}`],
        ['scope', found.scope]
    ];
    if (rule) {
        lines.push(['rule', `${rule.id} (${rule.file})`], ['source', rule.source], ['sample', rule.samples[0] ?? '']);
    } else {
        lines.push(['rule', `none knows the text; decided by the ${found.rule === 'network' ? 'lack of a reply code' : 'code alone'}`]);
    }
    if (found.hints.retryAfter !== undefined) {
        lines.push(['asks to wait', `${found.hints.retryAfter} s`]);
    }
    if (found.hints.rateAbout !== undefined) {
        lines.push(['counts', found.hints.rateAbout]);
    }
    if (found.hints.list !== undefined) {
        lines.push(['list', found.hints.list]);
    }
    if (found.hints.listed !== undefined) {
        lines.push(['refused', found.hints.listed]);
    }
    if (found.hints.delistUrl !== undefined) {
        lines.push(['see', found.hints.delistUrl]);
    }
    return lines;
}

async function run(argv: readonly string[]): Promise<number> {
    const { values, positionals } = readArgs({
        args: [...argv],
        options: { provider: { type: 'string' }, rules: { type: 'string' } },
        allowPositionals: true
    });
    const [text, ...more] = positionals;
    if (text === undefined || text.trim() === '' || more.length > 0) {
        throw new UsageError('explain wants one reply; put it in quotes');
    }
    const rules = rulesFor(values.rules);
    const reply = { code: 0, text, stage: 'none' } as const;
    const found = classify(rules, reply, values.provider);
    const lines = describe(rules, found);
    lines.push(...foresee(found, readReply(reply).code).map((step, index): [string, string] => [index === 0 ? 'next' : 'then', step]));
    const width = Math.max(...lines.map(([name]) => name.length));
    process.stdout.write(lines.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join(''));
    return 0;
}

/** `explain "<reply>"`: the class of one reply and the rule behind it, for people. */
export const explainCommand: Command = {
    name: 'explain',
    usage: 'explain "REPLY" [--provider KEY] [--rules DIR]',
    summary: 'say what a reply means and which rule says so',
    run
};
