import { loadRules, packageRulesDir } from '../../lib/responses/load';
import type { RuleSet } from '../../lib/responses/rule-set';

/** The rules that the commands use: those of the operator's directory, if one is named, before those of the package. */
export function rulesFor(operatorsDir: string | undefined): RuleSet {
    return loadRules(operatorsDir === undefined ? [packageRulesDir()] : [operatorsDir, packageRulesDir()]);
}
