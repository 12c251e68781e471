using Caisson.Contracts;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Caisson.Cli.Output;

/// <summary>Draws tables and trees. Every text becomes a plain cell, never markup.</summary>
internal sealed class TableView
{
    // Wide enough that nothing wraps or is cut when a program reads it.
    private const int UnlimitedWidth = 4096;

    private readonly IAnsiConsole _console;
    private readonly bool _colored;

    internal TableView(Terminal terminal, bool color)
    {
        _colored = color && terminal.OutIsTerminal;
        _console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            // Without ANSI the library would set the console's colours by itself; plain styles write no sequences.
            Ansi = AnsiSupport.Yes,
            ColorSystem = _colored ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(terminal.Out),
        });
        _console.Profile.Capabilities.Unicode = true;
        if (!terminal.OutIsTerminal)
            _console.Profile.Width = UnlimitedWidth;
    }

    internal void Rows(IReadOnlyList<string> columns, IEnumerable<IReadOnlyList<string>> rows)
    {
        var table = new Table { Border = TableBorder.None, ShowHeaders = true };
        foreach (var column in columns)
            table.AddColumn(new TableColumn(Head(column)) { NoWrap = true, Padding = new Padding(0, 0, 2, 0) });
        foreach (var row in rows)
            table.AddRow(row.Select(IRenderable (cell) => Cell(cell)));
        _console.Write(table);
    }

    internal void Pairs(IEnumerable<(string Name, string Value)> pairs)
    {
        var grid = new Grid();
        grid.AddColumn(new GridColumn { NoWrap = true, Padding = new Padding(0, 0, 2, 0) });
        grid.AddColumn(new GridColumn { Padding = new Padding(0) });
        foreach (var (name, value) in pairs)
            grid.AddRow(Head(name), Cell(value));
        _console.Write(grid);
    }

    private Text Head(string text) => new(text, _colored ? new Style(decoration: Decoration.Bold) : Style.Plain);

    private Text Cell(string text) => new(PlainText.Line(text), _colored ? StyleOf(text) : Style.Plain);

    private static Style StyleOf(string word) => word switch
    {
        "completed" or "ok" => new Style(Color.Green),
        "failed" or "fail" => new Style(Color.Red),
        "running" => new Style(Color.Blue),
        "warn" => new Style(Color.Yellow),
        _ when word.StartsWith("paused", StringComparison.Ordinal) || word.StartsWith("waiting", StringComparison.Ordinal) => new Style(Color.Yellow),
        _ => Style.Plain,
    };
}
