import { parseArgs, type ParseArgsConfig } from 'node:util';

/** One command of the command line. */
export interface Command {
    name: string;
    /** The command with its arguments, as the user types it. */
    usage: string;
    summary: string;
    /** Returns the exit code. Throws UsageError when the arguments are wrong. */
    run(argv: readonly string[]): Promise<number>;
}

/** The arguments do not make sense: message and usage are printed, exit code 2. */
export class UsageError extends Error {
    override name = 'UsageError';
}

/** `parseArgs` of Node with its complaints as UsageError. */
export function readArgs<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
    try {
        return parseArgs(config);
    } catch (err) {
        throw new UsageError((err as Error).message);
    }
}
