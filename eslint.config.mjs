import tseslint from 'typescript-eslint';

/**
 * The house, from the top to the bottom (docs/architecture.md): a room may import from those below it. Since no room knows
 * one above it, there are no cycles between rooms either.
 */
const ROOMS = [
    ['plugins', 'bin'],
    ['lib/process'],
    ['lib/ops', 'lib/checks'],
    ['lib/relay', 'lib/notice', 'lib/history'],
    ['lib/policy'],
    ['lib/responses'],
    ['lib/providers', 'lib/pool', 'lib/health'],
    ['lib/scan', 'lib/connect'],
    ['lib/settings'],
    ['lib/zonemta'],
    ['lib/delivery']
];

const downwards = ROOMS.flatMap((rooms, floor) =>
    rooms.map(room => {
        const above = ROOMS.slice(0, floor).flat();
        const beside = rooms.filter(other => other !== room);
        const barred = [...above, ...beside].map(other => other.replace('lib/', ''));
        return {
            files: [`${room}/**/*.ts`],
            rules: {
                '@typescript-eslint/no-restricted-imports': [
                    'error',
                    { patterns: barred.map(name => ({ regex: `^(\\.\\./)+(lib/)?${name}/`, message: `${room} may not know ${name}: imports point downwards (eslint.config.mjs)` })) }
                ]
            }
        };
    })
);

export default tseslint.config(
    { ignores: ['dist/', '.build/', '**/node_modules/', 'eslint.config.mjs', 'scripts/'] },
    ...tseslint.configs.recommendedTypeChecked,
    {
        languageOptions: { parserOptions: { projectService: true } },
        rules: {
            '@typescript-eslint/no-floating-promises': 'error',
            '@typescript-eslint/no-misused-promises': 'error',
            '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
            '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' }],
            // stores share an interface of promises, in memory too
            '@typescript-eslint/require-await': 'off',
            // `${number}` is what templates are for
            '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }]
        }
    },
    {
        files: ['lib/process/join.ts', 'bin/**/*.ts'],
        rules: { '@typescript-eslint/no-require-imports': 'off' }
    },
    ...downwards
);
