import { defineConfig } from 'vitest/config';

export default defineConfig({
    test: {
        include: ['test/**/*.test.ts'],
        // end-to-end worlds are slow to start; every wait inside has its own, shorter deadline
        testTimeout: 120_000,
        hookTimeout: 120_000,
        // two cores, and each world is a dozen processes
        maxWorkers: 2
    }
});
