/** What Airflow's page lends to its plugins: React, the router and Chakra's components. Nothing is bundled, so our pages look like the host's. */

const { React, ReactRouterDOM: Router, ChakraUI: Ui } = globalThis;

export const h = React.createElement;
export { React, Router, Ui };
