using Caisson.Contracts;
using Caisson.Core.Manifests;
using Caisson.Core.Processes;

namespace Caisson.Core.Tests.Processes;

/// <summary>A program that nobody has read starts children: none of them is a way to what the program itself may not.</summary>
public sealed class ChildRightsTests
{
    private const string Box = "sandbox: { memory: 256MiB, disk: 64MiB, pids: 512 }\n";
    private const string Parent = "name: parent\nprocess: { command: [a] }\n" + Box + "egress: [{ host: api.example.com, secret: token }]\nservices: [{ name: db, port: 5432 }]\nmcp: { servers: { notes: { command: [n] } } }\n";

    [Theory]
    [InlineData("process: { command: [b], env: { X: y } }\n" + Box)]
    [InlineData("loop: { model: m/x, instructions: Do., tools: [shell] }\nlimits: { usd: 1000 }\nsandbox: { memory: 128MiB, disk: 64MiB, pids: 256, isolation: hardware }\n")]
    [InlineData("process: { command: [b] }\n" + Box + "egress: [{ host: api.example.com, secret: token }]\n")]
    [InlineData("process: { command: [b] }\n" + Box + "services: [{ name: db, port: 5432 }]\n")]
    [InlineData("process: { command: [b] }\n" + Box + "mcp: { servers: { notes: { command: [n] } } }\n")]
    public void What_is_no_more_than_the_program_has_may_be(string child) => Assert.Null(Exceeds(child));

    [Theory]
    [InlineData("code: refunds\n", "agent in code")]
    [InlineData("process: { command: [b] }\nsandbox: { memory: 256MiB, disk: 64MiB, pids: 512, isolation: process }\n", "weaker isolation")]
    [InlineData("process: { command: [b] }\nsandbox: { memory: 256MiB, disk: 64MiB, pids: 512, image: other }\n", "another image")]
    [InlineData("process: { command: [b] }\nsandbox: { memory: 512MiB, disk: 64MiB, pids: 512 }\n", "larger")]
    [InlineData("process: { command: [b] }\nsandbox: { memory: 256MiB, disk: 64MiB, pids: 512, cpu: 4 }\n", "larger")]
    [InlineData("process: { command: [b] }\n" + Box + "egress: [{ host: '*.example.com' }]\n", "egress")]
    [InlineData("process: { command: [b] }\n" + Box + "egress: [{ host: api.example.com, secret: other }]\n", "egress")]
    [InlineData("process: { command: [b] }\n" + Box + "services: [{ name: db, port: 5432 }, { name: queue, port: 5672 }]\n", "services")]
    [InlineData("process: { command: [b] }\n" + Box + "mcp: { servers: { notes: { command: [n], effect: read } } }\n", "mcp")]
    public void Everything_beyond_is_refused(string child, string why) => Assert.Contains(why, Exceeds(child), StringComparison.Ordinal);

    private static string? Exceeds(string child) => ChildRights.Exceeds(Read(Parent), Read("name: child\n" + child));

    private static AgentManifest Read(string text)
    {
        var outcome = ManifestReader.Read(text, "agent.yaml");
        return outcome is ManifestOutcome.Valid valid ? valid.Manifest : throw new InvalidOperationException(((ManifestOutcome.Invalid)outcome).Problem.Message);
    }
}
