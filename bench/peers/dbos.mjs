import { DBOS } from '@dbos-inc/dbos-sdk';
import { gaps, serve, work } from './worker.mjs';

DBOS.setConfig({ name: 'bench', systemDatabaseUrl: process.env.DATABASE, logLevel: 'error', applicationVersion: '1' });
const agent = DBOS.registerWorkflow(
  async (steps, toolMs) => {
    for (let i = 0; i < steps; i++) await DBOS.runStep(() => work(toolMs), { name: 'step' });
    return 'done';
  },
  { name: 'agent' },
);
await DBOS.launch();

await serve({
  async run(runs, steps, toolMs) {
    gaps();
    const start = performance.now();
    const handles = await Promise.all(Array.from({ length: runs }, () => DBOS.startWorkflow(agent)(steps, toolMs)));
    await Promise.all(handles.map((handle) => handle.getResult()));
    return `${((performance.now() - start) / 1000).toFixed(4)} ${gaps()}`;
  },
});
