/** The outcome as a table: for the terminal, and as docs/simulation/README.md. */
import Table from 'cli-table3';
import type { Outcome } from './measures';
import type { Plan, StrategyName } from './run';

export const TITLES: Readonly<Record<StrategyName, string>> = {
    package: 'this package',
    zonemta: "ZoneMTA's own rule",
    random: 'random, no memory',
    kumomta: 'KumoMTA-like',
    oracle: 'oracle'
};

const COLUMNS: readonly [string, (outcome: Outcome) => string][] = [
    ['widened blocks', outcome => count(outcome.widened)],
    ['complaints', outcome => count(outcome.complaints)],
    ['refused while blocked', outcome => count(outcome.knocks)],
    ['in 10 s', outcome => percent(outcome.within.tenSeconds, outcome.wanted)],
    ['in 1 min', outcome => percent(outcome.within.minute, outcome.wanted)],
    ['in 1 h', outcome => percent(outcome.within.hour, outcome.wanted)],
    ['attempts per delivered', outcome => (outcome.attempts / (outcome.delivered + outcome.relayed)).toFixed(3)],
    ['relayed', outcome => percent(outcome.relayed, outcome.wanted)],
    ['bounced', outcome => percent(outcome.bounced, outcome.wanted)],
    ['still queued', outcome => percent(outcome.wanted - outcome.delivered - outcome.relayed - outcome.bounced, outcome.wanted)],
    ['blocked address-hours', outcome => count(outcome.hours.blocked)],
    ['suspended by us', outcome => count(outcome.hours.suspended)],
    ['of these not blocked', outcome => count(outcome.hours.inVain)]
];

export function forTerminal(outcomes: readonly Outcome[]): string {
    const table = new Table({ head: ['', ...outcomes.map(titleOf)], colAligns: ['left', ...outcomes.map(() => 'right' as const)], style: { head: [], border: [] } });
    COLUMNS.forEach(([name, cell]) => table.push([name, ...outcomes.map(cell)]));
    return table.toString();
}

/** A whole document, the same for the same plan: no date, no duration. */
export function asDocument(outcomes: readonly Outcome[], { seed, messages, addresses, hours }: Plan): string {
    const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
    const table = [
        row(['', ...outcomes.map(titleOf)]),
        row(['---', ...outcomes.map(() => '--:')]),
        ...COLUMNS.map(([name, cell]) => row([name, ...outcomes.map(cell)]))
    ].join('\n');
    return `# Simulation

Written by \`npm run simulate -- --seed ${seed} --messages ${messages}\`; do not edit. ${count(messages)} messages in ${hours / 24} days of virtual time, ten providers, ${addresses} addresses
(half IPv4 in two /24, half IPv6 in eight /64). Every strategy gets the same messages, and providers that behave the same.

${table}

Speed, attempts, relayed and bounced are those of wanted mail: a refusal of spam is no loss. *Widened blocks*: ranges (/24, /64 or /48) that a provider blocked for
refused attempts or complaints. *Refused while blocked*: attempts from what was blocked then. Address-hours are summed over providers. The relay takes everything.

![Blocked addresses over time](blocked.svg)

![Time until delivery](delivery-time.svg)

![Attempts that a message needed](attempts.svg)

## What is compared

- **${TITLES.package}**: the hooks of \`lib/process\` with policy, choice, pool memory and budget as they run in ZoneMTA, every option at its default, stores in memory, one process.
- **${TITLES.zonemta}**: 3.10.3 without plugins: crc32 of the delivery's id over the pool, IPv4 first, its own \`bounces.txt\`, its list of refused addresses (six hours), its schedule. No relay.
- **${TITLES.random}**: this package with a memory that forgets at once: reroutes, budget and relay, no suspensions and no pace.
- **${TITLES.kumomta}**: a refused source is suspended at the provider for two hours, the message comes back after 20 minutes, doubled each time, from another one. No relay.
- **${TITLES.oracle}**: this package, and the providers' books lie open before it: it sees what is blocked or at its limit now. It does not know what will be.

## What the providers are like

[bench/simulate/providers.ts](../../bench/simulate/providers.ts) has every number and where it comes from. Most are guesses, and say so; they are made so that what is pressed on pushes back:

- an address may make so many attempts at once and an hour; more earn a 4xx, and points;
- refused spam and complaints are points too; too many block the address for hours to days, drawn evenly on a logarithmic scale;
- attempts while blocked keep the block of an address from ending; too many of them, and too great a part of all, block the whole range; the same message from many addresses weighs more;
- some addresses are blocked from the start, and some every day, for reasons that are not ours;
- three providers judge IPv6 by its /64, one small one greylists;
- one account is hijacked for five hours; one provider refuses everything for an hour; one refuses all of IPv6 for ten hours.

A real provider is not one of these. What the figures can tell is which strategy is punished by what, not how many mails a day will be late.
`;
}

function titleOf({ strategy }: Outcome): string {
    return TITLES[strategy as StrategyName];
}

function count(value: number): string {
    return Math.round(value).toLocaleString('en');
}

function percent(part: number, whole: number): string {
    return `${((100 * part) / whole).toFixed(2)} %`;
}
