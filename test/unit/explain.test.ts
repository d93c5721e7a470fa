import { expect, it } from 'vitest';
import { foresee } from '../../bin/commands/foresee';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { classify } from '../../lib/responses/match';

const rules = loadRules([packageRulesDir()]);

function steps(text: string, code: number): string[] {
    return foresee(classify(rules, { code, text, stage: 'none' }), code);
}

it('a refusal of the address is followed by four others and the relay', () => {
    expect(steps('550 5.7.1 Your IP 192.0.2.7 is blacklisted here', 550)).toEqual([
        'another address at once',
        'another address after 1 s',
        'another address after 5 s',
        'another address after 30 s',
        'the relay (no address of ours is accepted)'
    ]);
});

it.each([
    ['550 5.1.1 User unknown', 550, 'ZoneMTA bounces it (another address would not help: recipient)'],
    ['452 4.2.2 Mailbox full', 452, 'ZoneMTA keeps it on its schedule (another address would not help: mailbox-full)'],
    ['450 4.2.0 Greylisted', 450, "wait for ZoneMTA's schedule (greylisted)"]
])('%s', (text, code, step) => {
    expect(steps(text, code)).toEqual([step]);
});
