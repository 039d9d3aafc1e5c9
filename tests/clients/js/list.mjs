// Lists pipelines; LASTGOOD_SIGNING is the service to sign for, as infra/clients/README.md tells.
import { CodePipelineClient, ListPipelinesCommand } from "@aws-sdk/client-codepipeline";

const signingName = process.env.LASTGOOD_SIGNING;
const client = new CodePipelineClient(signingName ? { signingName } : {});
await client.send(new ListPipelinesCommand({}));
