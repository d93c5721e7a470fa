import { checkSync } from 'recheck/lib/browser.js';
import { expect, it } from 'vitest';
import { branchesOf } from '../../lib/responses/literals';
import { loadRules, packageRulesDir } from '../../lib/responses/load';

const rules = loadRules([packageRulesDir()]).rules;
const expressions = [...new Set(rules.flatMap(({ pattern, unless, enhanced }) => [pattern, unless, enhanced].flatMap(one => (one ? branchesOf(one).map(branch => branch.expression.source) : []))))];

it('no pattern takes more than linear time, whatever a stranger writes', () => {
    const verdicts = expressions.map(source => ({ source, status: checkSync(source, '', { checker: 'automaton', timeout: 5000, maxRepeatCount: 300 }).status }));
    expect(verdicts.filter(({ status }) => status !== 'safe')).toEqual([]);
});

it('the check would notice one that does', () => {
    expect(checkSync('^(?:a+)+$', '', { checker: 'automaton', timeout: 5000 }).status).toBe('vulnerable');
});
