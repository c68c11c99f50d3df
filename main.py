"""Trains and evaluates EfficientNets: `python main.py --flagfile=flags/quickstart.flags`.

`python main.py --helpfull` lists every flag.
"""

from efficientnet_tf.run.command_line import console

if __name__ == "__main__":
    console()
