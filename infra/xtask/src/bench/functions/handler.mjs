// What bench functions compares ours with: a handler in JavaScript that reads one item with the AWS SDK, as small as it gets.
import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";

const runtime = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const dynamodb = new DynamoDBClient({});

async function handle() {
  const Key = { PK: { S: "nobody" }, SK: { S: "nothing" } };
  const read = new GetItemCommand({ TableName: process.env.LASTGOOD_TABLE, Key, ConsistentRead: true });
  return (await dynamodb.send(read)).Item ?? null;
}

for (;;) {
  const next = await fetch(`${runtime}/next`);
  const invocation = next.headers.get("lambda-runtime-aws-request-id");
  await next.json();
  await fetch(`${runtime}/${invocation}/response`, { method: "POST", body: JSON.stringify(await handle()) });
}
