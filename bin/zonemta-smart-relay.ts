#!/usr/bin/env node
/**
 * The command line. Each command is a file in ./commands; this one finds it, and turns wrong usage into a message and
 * exit code 2.
 */

import { checkConfigCommand } from './commands/check-config';
import { checkPoolCommand } from './commands/check-pool';
import { classifyCommand } from './commands/classify';
import { UsageError, type Command } from './commands/command';
import { explainCommand } from './commands/explain';

const COMMANDS: readonly Command[] = [classifyCommand, explainCommand, checkConfigCommand, checkPoolCommand];

function usage(): string {
    const width = Math.max(...COMMANDS.map(command => command.usage.length));
    const lines = COMMANDS.map(command => `  ${command.usage.padEnd(width)}  ${command.summary}`);
    return ['usage: zonemta-smart-relay COMMAND', '', ...lines, ''].join('\n');
}

async function main(argv: readonly string[]): Promise<number> {
    const [name, ...rest] = argv;
    if (name === '--help' || name === '-h') {
        process.stdout.write(usage());
        return 0;
    }
    const command = COMMANDS.find(candidate => candidate.name === name);
    if (!command) {
        process.stderr.write(name === undefined ? usage() : `unknown command "${name}"\n${usage()}`);
        return 2;
    }
    try {
        return await command.run(rest);
    } catch (err) {
        if (err instanceof UsageError) {
            process.stderr.write(`${err.message}\nusage: zonemta-smart-relay ${command.usage}\n`);
            return 2;
        }
        process.stderr.write(`${err instanceof Error ? err.message : String(err)}\n`);
        return 1;
    }
}

// The reader of our output may leave early (`| head`): that is no fault of ours.
process.stdout.on('error', (err: NodeJS.ErrnoException) => process.exit(err.code === 'EPIPE' ? 0 : 1));

void main(process.argv.slice(2)).then(code => {
    process.exitCode = code;
});
