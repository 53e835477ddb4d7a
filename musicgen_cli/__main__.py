from musicgen_cli.cli import main

main()
