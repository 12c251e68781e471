using System.Collections.Immutable;
using Microsoft.CodeAnalysis;

namespace Caisson.Analyzers;

/// <summary>What is found. Every rule has a section of its name in docs/analyzers.md; a test checks it.</summary>
internal static class Rules
{
    private const string Category = "Caisson.Replay";
    private const string Page = "docs/analyzers.md#";

    internal static readonly DiagnosticDescriptor Clock = new(
        "CAI001", "The time comes from the run", "'{0}' is another time in every replay: use {1}",
        Category, DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page + "cai001");

    internal static readonly DiagnosticDescriptor Chance = new(
        "CAI002", "Chance and ids come from the run", "'{0}' is another value in every replay: use {1}",
        Category, DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page + "cai002");

    internal static readonly DiagnosticDescriptor Wait = new(
        "CAI003", "Waits are the run's", "'{0}' waits outside the journal, and is lost with the process: use {1}",
        Category, DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page + "cai003");

    internal static readonly DiagnosticDescriptor Thread = new(
        "CAI004", "Agent code stays on the run's scheduler", "'{0}' leaves the run's scheduler, and replay takes another order: {1}",
        Category, DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page + "cai004");

    internal static readonly DiagnosticDescriptor Block = new(
        "CAI005", "Agent code does not block", "'{0}' can hold up the run's only thread for ever: {1}",
        Category, DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page + "cai005");

    internal static readonly DiagnosticDescriptor World = new(
        "CAI006", "The world is touched in steps", "'{0}' touches the world, and does so again in every replay: {1}",
        Category, DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page + "cai006");

    internal static readonly DiagnosticDescriptor Shared = new(
        "CAI007", "Agent code shares no changing state", "'{0}' is static and changes, so a replay finds another value: keep it in the agent's variables, or read it in a step",
        Category, DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page + "cai007");

    internal static readonly DiagnosticDescriptor Join = new(
        "CAI008", "What runs side by side has scopes", "'{0}' joins calls of the run that have no scopes of their own: use {1} with a branch for each",
        Category, DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page + "cai008");

    internal static readonly DiagnosticDescriptor HashOrder = new(
        "CAI009", "Calls are made in an order that holds", "'{0}' has another order in another process, and calls of the run are made in it: order it first",
        Category, DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page + "cai009");

    internal static readonly DiagnosticDescriptor InStep = new(
        "CAI010", "A step makes no calls of its run", "'{0}' is called in a step, which replay does not enter: call it before the step or after it",
        Category, DiagnosticSeverity.Warning, isEnabledByDefault: true, helpLinkUri: Page + "cai010");

    internal static readonly ImmutableArray<DiagnosticDescriptor> All = [Clock, Chance, Wait, Thread, Block, World, Shared, Join, HashOrder, InStep];
}
