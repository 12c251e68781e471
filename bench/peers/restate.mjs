import * as restate from '@restatedev/restate-sdk';
import { gaps, serve, work } from './worker.mjs';

const agent = restate.service({
  name: 'agent',
  handlers: {
    run: async (context, { steps, toolMs }) => {
      for (let i = 0; i < steps; i++) await context.run('step', () => work(toolMs));
      return 'done';
    },
  },
});
await restate.endpoint().bind(agent).listen(Number(process.env.PORT));

// Runs are started through the server's ingress.
await serve({ gaps });
