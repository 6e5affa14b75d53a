"""HarmBench's classifier as a judge: yes or no. The judge `harmbench`."""
